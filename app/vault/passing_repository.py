"""Every SQL statement that touches the key of what is kept for minutes."""

from uuid import UUID

from app.db import Connection
from app.encryption import Wrapped

LOCK = 0x70_6173_7369_6E67  # "passing"


async def lock(conn: Connection) -> None:
    """One process at a time makes a key, as long as its transaction lasts."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def newest(conn: Connection, holder: UUID, lasts_s: float) -> Wrapped | None:
    row = await conn.fetchrow(
        """
        SELECT kek, wrapped FROM passing_keys
         WHERE created_at > now() - make_interval(secs => $1) ORDER BY id DESC LIMIT 1
        """,
        lasts_s,
    )
    return Wrapped(row["kek"], holder, row["wrapped"]) if row else None


async def add(conn: Connection, new: Wrapped) -> None:
    await conn.execute("INSERT INTO passing_keys (kek, wrapped) VALUES ($1, $2)", new.kek, new.blob)


async def drop(conn: Connection) -> None:
    await conn.execute("DELETE FROM passing_keys")
