"""Every SQL statement that touches users, their teams and identities from elsewhere."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.auth import sealed
from app.auth.schemas import Account, Role, User, UserDraft
from app.db import Connection
from app.vault import service as vault
from app.vault.service import open_rows

ADMINS_LOCK = 0x61_646D_696E  # "admin": who counts administrators waits for who changes them
COLUMNS = "id, email, name, role::text, password_hash, active, created_at"


async def _users(conn: Connection, rows: "Sequence[asyncpg.Record]") -> list[User]:
    return [User(**row) for row in await open_rows(conn, rows, sealed.OF_USERS)]


async def user_by_email(conn: Connection, email: str) -> User | None:
    rows = await conn.fetch(
        f"""
        SELECT {COLUMNS} FROM users WHERE email_hash = $1
        UNION ALL
        SELECT {COLUMNS} FROM users WHERE get_byte(email, 0) = 0 AND email = $2
        LIMIT 1
        """,  # noqa: S608
        await sealed.email_hash(conn, email),
        b"\x00" + email.lower().encode(errors="surrogatepass"),
    )
    return next(iter(await _users(conn, rows)), None)


async def user_by_id(conn: Connection, user_id: UUID) -> User | None:
    rows = await conn.fetch(f"SELECT {COLUMNS} FROM users WHERE id = $1", user_id)  # noqa: S608
    return next(iter(await _users(conn, rows)), None)


async def account(conn: Connection, user_id: UUID) -> Account | None:
    """What every request asks: nobody's name is opened for it."""
    row = await conn.fetchrow("SELECT id, role::text, active FROM users WHERE id = $1", user_id)
    return Account(**row) if row else None


async def users(conn: Connection, after: UUID | None, limit: int) -> list[User]:
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM users WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",  # noqa: S608
        after,
        limit,
    )
    return await _users(conn, rows)


async def upsert_user(conn: Connection, email: str, name: str, role: Role, *, language: str = "en") -> UUID:
    """Make the user, or bring name and role up to date; the password stays."""
    known = await user_by_email(conn, email)
    if known is None:
        made = await _add(conn, email, name, role, language=language)
        if made:
            return made
        known = await user_by_email(conn, email)
    assert known  # noqa: S101  # who made it meanwhile has committed: this waited for them
    await change_user(conn, known.id, name, role, None)
    return known.id


async def _add(
    conn: Connection,
    email: str,
    name: str,
    role: Role,
    *,
    language: str = "en",
    password_hash: str | None = None,
) -> UUID | None:
    """`None` where the address is taken. The id is drawn first: the user's key is made for it."""
    user_id: UUID = await conn.fetchval("SELECT uuidv7()")
    texts = [(sealed.EMAIL, email.lower()), (sealed.NAME, name)]
    added: UUID | None = await conn.fetchval(
        """
        INSERT INTO users (id, email_hash, role, language, password_hash, email, name)
        VALUES ($1, $2, $3::text::role, $4, $5, $6, $7)
        ON CONFLICT (email_hash) DO NOTHING RETURNING id
        """,
        user_id,
        await sealed.email_hash(conn, email),
        role,
        language,
        password_hash,
        *await vault.seal_all(conn, user_id, texts),
    )
    return added


async def set_email_hash(conn: Connection, user_id: UUID, email: str) -> None:
    digest = await sealed.email_hash(conn, email)
    await conn.execute("UPDATE users SET email_hash = $2 WHERE id = $1", user_id, digest)


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


async def add_user(conn: Connection, draft: UserDraft, password_hash: str | None) -> User | None:
    """`None` where the address is taken."""
    if await user_by_email(conn, draft.email):
        return None
    added = await _add(conn, draft.email, draft.name, draft.role, password_hash=password_hash)
    return await user_by_id(conn, added) if added else None


async def change_user(
    conn: Connection, user_id: UUID, name: str | None, role: Role | None, active: bool | None
) -> bool:
    """Write what is not null; whether there is such a user."""
    done = await conn.execute(
        """
        UPDATE users SET name = coalesce($2::bytea, name), role = coalesce($3::text::role, role),
                         active = coalesce($4, active)
         WHERE id = $1
        """,
        user_id,
        None if name is None else await sealed.NAME.seal(conn, user_id, name),
        role,
        active,
    )
    return done == "UPDATE 1"


async def is_erased(conn: Connection, user_id: UUID) -> bool:
    """Whether their erasure was asked for; they are locked, so that nobody asks for it meanwhile."""
    await conn.execute("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    asked: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM erasures WHERE person_id = $1)", user_id)
    return asked


async def is_last_admin(conn: Connection, user_id: UUID) -> bool:
    """Whether nobody else is an active administrator; nobody can change that until this transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", ADMINS_LOCK)
    last: bool = await conn.fetchval(
        """
        SELECT count(*) > 0 AND bool_and(id = $1) FROM users WHERE role = 'admin' AND active
        """,
        user_id,
    )
    return last


async def user_of_subject(conn: Connection, issuer: str, subject: str) -> User | None:
    rows = await conn.fetch(
        """
        SELECT u.id, u.email, u.name, u.role::text, u.password_hash, u.active, u.created_at
          FROM federated_identities f JOIN users u ON u.id = f.user_id
         WHERE f.issuer = $1 AND f.subject = ANY($2)
        """,
        issuer,
        [await sealed.subject_hash(conn, issuer, subject), subject],
    )
    return next(iter(await _users(conn, rows)), None)


async def link_subject(conn: Connection, issuer: str, subject: str, user_id: UUID) -> None:
    await conn.execute(
        """
        INSERT INTO federated_identities (issuer, subject, user_id) VALUES ($1, $2, $3)
        ON CONFLICT (issuer, subject) DO NOTHING
        """,
        issuer,
        await sealed.subject_hash(conn, issuer, subject),
        user_id,
    )


async def hash_subjects(conn: Connection, limit: int) -> int:
    """Of those that a migration left as they were, up to `limit`; how many there were."""
    rows = await conn.fetch(
        """
        SELECT issuer, subject FROM federated_identities WHERE left(subject, 5) <> 'hmac:' LIMIT $1
           FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    for row in rows:
        digest = await sealed.subject_hash(conn, row["issuer"], row["subject"])
        await conn.execute(
            "UPDATE federated_identities SET subject = $3 WHERE issuer = $1 AND subject = $2",
            row["issuer"],
            row["subject"],
            digest,
        )
    return len(rows)
