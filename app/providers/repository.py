"""Every SQL statement that touches the versions of the lineup."""

from typing import Any
from uuid import UUID

from app.auth.sealed import EMAIL
from app.db import Connection
from app.providers.schemas import Version
from app.vault.service import open_rows

LOCK = 0x6C_696E_6575_70  # "lineup": changes take turns
VERSION = "version, lineup, note, u.email AS made_by, made_by AS made_by_id, made_at"


async def newest(conn: Connection, than: int = 0) -> tuple[int, dict[str, Any]] | None:
    """The newest version and its lineup, if it is newer `than` that."""
    row = await conn.fetchrow(
        "SELECT version, lineup FROM provider_lineups WHERE version > $1 ORDER BY version DESC LIMIT 1", than
    )
    return (row["version"], row["lineup"]) if row else None


async def get(conn: Connection, version: int) -> dict[str, Any] | None:
    lineup: dict[str, Any] | None = await conn.fetchval(
        "SELECT lineup FROM provider_lineups WHERE version = $1", version
    )
    return lineup


async def take_turns(conn: Connection) -> None:
    """Until this transaction ends, no other one changes the lineup."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def add(conn: Connection, version: int, lineup: dict[str, Any], note: str, made_by: UUID) -> None:
    await conn.execute(
        "INSERT INTO provider_lineups (version, lineup, note, made_by) VALUES ($1, $2, $3, $4)",
        version,
        lineup,
        note,
        made_by,
    )


async def page(conn: Connection, before: int | None, limit: int) -> list[Version]:
    """Newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {VERSION} FROM provider_lineups LEFT JOIN users u ON u.id = made_by
         WHERE $1::integer IS NULL OR version < $1
         ORDER BY version DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
    )
    found = await open_rows(conn, rows, {"made_by": (EMAIL, "made_by_id")})
    return [Version.model_validate(row) for row in found]
