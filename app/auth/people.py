"""Every SQL statement about one person's account: who they are, how they sign in, what else knows them."""

from uuid import UUID

from app.auth.sealed import EMAIL, NAME
from app.db import Connection
from app.holdings import Counts, Holdings, Part, by

ACCOUNT = Part(
    "account",
    """
    SELECT id, email, name, role::text, language, active, created_at FROM users
     WHERE id = $1 AND $2::uuid IS NULL LIMIT $3
    """,
    sealed={"email": EMAIL, "name": NAME},
)
LOGINS = Part(
    "logins",
    """
    SELECT id, created_at, revoked_at FROM refresh_families
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
)
KEYS = Part(
    "api-keys",
    """
    SELECT id, name, prefix, scopes, expires_at, last_used_at, revoked_at, created_at FROM api_keys
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
)
IDENTITIES = Part(
    "identities-elsewhere",
    """
    SELECT user_id AS id, issuer, created_at FROM federated_identities
     WHERE user_id = $1 AND $2::uuid IS NULL ORDER BY issuer, subject LIMIT $3
    """,
)
TEAMS = Part(
    "teams",
    """
    SELECT user_id AS id, team, created_at FROM team_members
     WHERE user_id = $1 AND $2::uuid IS NULL ORDER BY team LIMIT $3
    """,
)

FORGOTTEN = {
    "logins": "DELETE FROM refresh_families WHERE user_id = $1 RETURNING 1",
    "api_keys": "DELETE FROM api_keys WHERE user_id = $1 RETURNING 1",
    "identities_elsewhere": "DELETE FROM federated_identities WHERE user_id = $1 RETURNING 1",
    "teams": "DELETE FROM team_members WHERE user_id = $1 RETURNING 1",
    "accounts": """
        UPDATE users SET email_hash = NULL, password_hash = NULL, language = 'en', active = false
         WHERE id = $1 RETURNING 1
    """,
}


async def _forget(conn: Connection, person: UUID) -> Counts:
    """The row of the account stays, for what refers to it; its name and address go with the key."""
    return {kind: len(await conn.fetch(statement, person)) for kind, statement in FORGOTTEN.items()}


EXPIRE = """
DELETE FROM refresh_families WHERE id IN (
    SELECT f.id FROM refresh_families f
     WHERE f.created_at < now() - make_interval(days => $1)
       AND NOT EXISTS (SELECT FROM refresh_tokens t
                        WHERE t.family_id = f.id AND t.expires_at > now() - make_interval(days => $1))
     LIMIT $2)
RETURNING id
"""

HOLDINGS = Holdings((ACCOUNT, LOGINS, KEYS, IDENTITIES, TEAMS), _forget, {"logins": by(EXPIRE)})
