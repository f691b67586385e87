"""Every SQL statement that touches the receipts of erasures."""

from collections.abc import Mapping
from uuid import UUID

from app.db import Connection
from app.privacy.schemas import Erasure

COLUMNS = "id, person_id, asked_by, asked_at, done_at, removed"


async def ask(conn: Connection, person_id: UUID, asked_by: UUID) -> tuple[Erasure, bool]:
    """The erasure of this person, and whether it was asked for just now."""
    added = await conn.fetchval(
        """
        INSERT INTO erasures (person_id, asked_by) VALUES ($1, $2)
        ON CONFLICT (person_id) DO NOTHING RETURNING true
        """,
        person_id,
        asked_by,
    )
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM erasures WHERE person_id = $1", person_id)  # noqa: S608
    assert row  # noqa: S101
    return Erasure(**row), bool(added)


async def get(conn: Connection, erasure_id: UUID) -> Erasure | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM erasures WHERE id = $1", erasure_id)  # noqa: S608
    return Erasure(**row) if row else None


async def page(conn: Connection, before: UUID | None, limit: int) -> list[Erasure]:
    """Newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {COLUMNS} FROM erasures
         WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
    )
    return [Erasure(**row) for row in rows]


async def finish(conn: Connection, erasure_id: UUID, removed: Mapping[str, int]) -> None:
    await conn.execute(
        "UPDATE erasures SET done_at = now(), removed = $2 WHERE id = $1", erasure_id, dict(removed)
    )
