"""Every SQL statement that touches users and refresh tokens."""

from datetime import datetime
from uuid import UUID

from app.auth.schemas import Role, User
from app.db import Connection

COLUMNS = "id, email, name, role::text, password_hash, active, created_at"


async def user_by_email(conn: Connection, email: str) -> User | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM users WHERE email = lower($1)", email)  # noqa: S608
    return User(**row) if row else None


async def user_by_id(conn: Connection, user_id: UUID) -> User | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM users WHERE id = $1", user_id)  # noqa: S608
    return User(**row) if row else None


async def users(conn: Connection, after: UUID | None, limit: int) -> list[User]:
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM users WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",  # noqa: S608
        after,
        limit,
    )
    return [User(**row) for row in rows]


async def upsert_user(conn: Connection, email: str, name: str, role: Role, *, language: str = "en") -> UUID:
    """Make the user, or bring name and role up to date; the password stays."""
    user_id: UUID = await conn.fetchval(
        """
        INSERT INTO users (email, name, role, language) VALUES (lower($1), $2, $3, $4)
        ON CONFLICT (email) DO UPDATE SET name = excluded.name, role = excluded.role
        RETURNING id
        """,
        email,
        name,
        role,
        language,
    )
    return user_id


async def role_and_teams(conn: Connection, user_id: UUID) -> tuple[Role, list[str]] | None:
    """`None` for somebody who is not there or was switched off."""
    row = await conn.fetchrow(
        """
        SELECT role::text, ARRAY(SELECT team FROM team_members WHERE user_id = users.id) AS teams
          FROM users
         WHERE id = $1 AND active
        """,
        user_id,
    )
    return (row["role"], row["teams"]) if row else None


async def teams(conn: Connection) -> dict[str, list[UUID]]:
    rows = await conn.fetch(
        """
        SELECT team, array_agg(user_id ORDER BY user_id) AS members
          FROM team_members
         GROUP BY team
         ORDER BY team
        """
    )
    return {row["team"]: row["members"] for row in rows}


async def set_team(conn: Connection, team: str, members: list[UUID]) -> int:
    """Make exactly these people the team; how many of them there are."""
    await conn.execute(
        "DELETE FROM team_members WHERE team = $1 AND user_id <> ALL ($2::uuid[])", team, members
    )
    return int(
        await conn.fetchval(
            """
            WITH added AS (
                INSERT INTO team_members (team, user_id)
                SELECT $1, id FROM users WHERE id = ANY ($2::uuid[])
                ON CONFLICT DO NOTHING
            )
            SELECT count(*) FROM users WHERE id = ANY ($2::uuid[])
            """,
            team,
            members,
        )
    )


async def set_password(conn: Connection, user_id: UUID, password_hash: str) -> None:
    await conn.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)


async def open_family(conn: Connection, user_id: UUID) -> UUID:
    family_id: UUID = await conn.fetchval(
        "INSERT INTO refresh_families (user_id) VALUES ($1) RETURNING id", user_id
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


async def revoke_family(conn: Connection, family_id: UUID) -> None:
    await conn.execute(
        "UPDATE refresh_families SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", family_id
    )
