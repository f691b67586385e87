"""Migrations by hand: the job before an upgrade runs this."""

import asyncio
import time

from app import db

AGAIN_S = 2.0


async def migrate(dsn: str, within_s: float = 0) -> int:
    """Apply what is new; a PostgreSQL that is away is waited for, what it refuses is not."""
    end = time.monotonic() + within_s
    while True:
        try:
            applied = await db.migrate(dsn)
        except db.LOST:
            if time.monotonic() >= end:
                raise
            await asyncio.sleep(AGAIN_S)
            continue
        print(f"{applied} migrations applied" if applied else "the database is up to date")
        return 0
