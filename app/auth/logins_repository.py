"""Every SQL statement that touches logins: families of refresh tokens, of which the newest is good."""

from datetime import datetime
from uuid import UUID

from app.auth.schemas import User
from app.db import Connection


async def begin(conn: Connection, user: User) -> UUID | None:
    """`None` where they were disabled, or got another password, since their identity was established."""
    family_id: UUID | None = await conn.fetchval(
        """
        INSERT INTO refresh_families (user_id)
        SELECT id FROM users WHERE id = $1 AND active AND password_hash IS NOT DISTINCT FROM $2 FOR SHARE
        RETURNING id
        """,
        user.id,
        user.password_hash,
    )
    return family_id


async def add_refresh(conn: Connection, token_hash: bytes, family_id: UUID, expires_at: datetime) -> None:
    await conn.execute(
        "INSERT INTO refresh_tokens (token_hash, family_id, expires_at) VALUES ($1, $2, $3)",
        token_hash,
        family_id,
        expires_at,
    )


async def family_of(conn: Connection, token_hash: bytes) -> tuple[UUID, UUID, bool, bool] | None:
    """(family, user, still usable, already used), the family locked: two refreshes at once take turns."""
    row = await conn.fetchrow(
        """
        SELECT f.id, f.user_id, f.revoked_at IS NULL AND t.expires_at > now() AS live,
               t.used_at IS NOT NULL AS used
          FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id
         WHERE t.token_hash = $1
           FOR UPDATE
        """,
        token_hash,
    )
    return (row["id"], row["user_id"], row["live"], row["used"]) if row else None


async def mark_used(conn: Connection, token_hash: bytes) -> None:
    await conn.execute("UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1", token_hash)


async def end(conn: Connection, family_id: UUID) -> None:
    await conn.execute(
        "UPDATE refresh_families SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", family_id
    )


async def end_all(conn: Connection, user_id: UUID) -> None:
    """End every login of this user."""
    await conn.execute(
        "UPDATE refresh_families SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL", user_id
    )
