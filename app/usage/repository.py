"""Every SQL statement that touches the calls of models."""

from collections.abc import Sequence
from dataclasses import fields

from app.db import Connection
from app.usage.schemas import Use

COLUMNS = ", ".join(field.name for field in fields(Use))
PLACES = ", ".join(f"${n}" for n in range(1, len(fields(Use)) + 1))


async def add(conn: Connection, uses: Sequence[Use]) -> None:
    await conn.executemany(
        f"INSERT INTO llm_calls ({COLUMNS}) VALUES ({PLACES})",  # noqa: S608
        [tuple(getattr(use, field.name) for field in fields(Use)) for use in uses],
    )
