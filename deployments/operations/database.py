"""Migrations by hand: the job before an upgrade runs this."""

from app import db


async def migrate(dsn: str) -> int:
    applied = await db.migrate(dsn)
    print(f"{applied} migrations applied" if applied else "the database is up to date")
    return 0
