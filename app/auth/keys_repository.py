"""Every SQL statement that touches API keys."""

from uuid import UUID

from app.auth.schemas import Account, ApiKey, ApiKeyDraft
from app.db import Connection

KEY = "id, user_id, name, prefix, scopes, expires_at, last_used_at, revoked_at, created_at"


async def add(conn: Connection, user_id: UUID, draft: ApiKeyDraft, key_hash: bytes, prefix: str) -> ApiKey:
    row = await conn.fetchrow(
        f"""
        INSERT INTO api_keys (user_id, name, prefix, key_hash, scopes, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING {KEY}
        """,  # noqa: S608
        user_id,
        draft.name,
        prefix,
        key_hash,
        sorted(set(draft.scopes)),
        draft.expires_at,
    )
    assert row  # noqa: S101
    return ApiKey(**row)


async def live(conn: Connection, user_id: UUID) -> int:
    """How many keys of this user work now; the user is locked, so that two at once do not both fit."""
    await conn.execute("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    count: int = await conn.fetchval(
        """
        SELECT count(*) FROM api_keys
         WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        """,
        user_id,
    )
    return count


async def page(conn: Connection, user_id: UUID, before: UUID | None, limit: int) -> list[ApiKey]:
    rows = await conn.fetch(
        f"""
        SELECT {KEY} FROM api_keys
         WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3
        """,  # noqa: S608
        user_id,
        before,
        limit,
    )
    return [ApiKey(**row) for row in rows]


async def account(conn: Connection, key_hash: bytes) -> tuple[Account, UUID, frozenset[str]] | None:
    """Whose key it is, its id and scopes, where key and owner are good; its use is noted to the minute."""
    row = await conn.fetchrow(
        """
        SELECT u.id, u.role::text, u.active, k.id AS key_id, k.scopes,
               coalesce(k.last_used_at < now() - interval '1 minute', true) AS stale
          FROM api_keys k JOIN users u ON u.id = k.user_id
         WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND u.active
           AND (k.expires_at IS NULL OR k.expires_at > now())
        """,
        key_hash,
    )
    if row is None:
        return None
    fields = dict(row)
    key_id, scopes, stale = fields.pop("key_id"), fields.pop("scopes"), fields.pop("stale")
    if stale:
        await conn.execute("UPDATE api_keys SET last_used_at = now() WHERE id = $1", key_id)
    return Account(**fields), key_id, frozenset(scopes)


async def revoke(conn: Connection, key_id: UUID, owner: UUID | None) -> bool:
    """Whether there is such a key, of `owner` where one is given; revoking it again changes nothing."""
    done = await conn.execute(
        """
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
         WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)
        """,
        key_id,
        owner,
    )
    return done == "UPDATE 1"


async def revoke_all(conn: Connection, user_id: UUID) -> None:
    await conn.execute(
        "UPDATE api_keys SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL", user_id
    )
