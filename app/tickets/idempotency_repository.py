"""Every SQL statement that touches idempotency keys."""

from uuid import UUID

from app.db import Connection


async def claim(conn: Connection, user_id: UUID, key: str, request_hash: bytes) -> UUID | None:
    """The id for what this idempotency key makes; `None` where the key was used before.

    Of two claims at once the second waits here until the first has committed or failed.
    """
    made: UUID | None = await conn.fetchval(
        """
        INSERT INTO idempotency_keys (user_id, key, request_hash) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, key) DO NOTHING
        RETURNING resource_id
        """,
        user_id,
        key,
        request_hash,
    )
    return made


async def prune(conn: Connection, *, keep_s: float) -> None:
    await conn.execute(
        "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1)", keep_s
    )


async def claimed(conn: Connection, user_id: UUID, key: str, request_hash: bytes) -> UUID | None:
    """What this key made, if it was this request that did."""
    before: UUID | None = await conn.fetchval(
        "SELECT resource_id FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND request_hash = $3",
        user_id,
        key,
        request_hash,
    )
    return before
