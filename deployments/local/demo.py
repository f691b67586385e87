"""The local profile's demo users. Their password is made once for a home and printed by `make serve`."""

import secrets
from pathlib import Path

from app import db
from app.auth import service as auth
from app.auth.passwords import Passwords
from app.auth.schemas import Identity, Role
from app.routing import seed
from app.sla import seed as sla
from app.triage import service as triage

ROLES: dict[str, Role] = {
    "customer@example.com": "customer",
    "agent@example.com": "agent",
    "supervisor@example.com": "supervisor",
    "admin@example.com": "admin",
}


def password(home: Path) -> str:
    file = home / "run" / "demo-password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    return file.read_text().strip()


async def seed_desk(dsn: str, home: Path, staff: Path) -> None:
    """Make the demo users, and the sample's queues, agents and promises. Running it again changes nothing."""
    pool = await db.connect(dsn, max_size=2, statement_timeout_s=10)
    try:
        hashed = await Passwords().hash(password(home))
        async with db.transaction(pool) as conn:
            for email, role in ROLES.items():
                name = f"Demo {role}"
                await auth.ensure_user(conn, email, name, role, password_hash=hashed)
            await seed.seed(conn, staff)
            await sla.seed(conn, staff.with_name("sla.yaml"))
    finally:
        await pool.close()


async def has_learnt_triage(dsn: str) -> bool:
    """Whether a version of triage decides already: the sample's must not take its place."""
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=5)
    try:
        async with db.transaction(pool) as conn:
            return await triage.active(conn) is not None
    finally:
        await pool.close()


async def identity(dsn: str, role: str) -> Identity | None:
    """The demo user of that role, if there is one."""
    email = next((email for email, known in ROLES.items() if known == role), "")
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=5)
    try:
        async with db.transaction(pool) as conn:
            return await auth.find(conn, email)
    finally:
        await pool.close()
