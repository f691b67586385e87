"""What tests of the audit do to it, and read of it."""

import json
from typing import Any

from app import db
from app.audit import service
from app.audit.verification import Verification


async def entries(pool: db.Pool, **wanted: str) -> list[dict[str, Any]]:
    """What is written down and not sealed, oldest first."""
    async with pool.acquire() as conn:
        rows = await conn.fetch("SELECT * FROM audit_pending ORDER BY id")
    found = [{**row, "change": json.loads(row["change"])} for row in rows]
    return [each for each in found if wanted.items() <= each.items()]


async def verified(pool: db.Pool, known: dict[int, bytes] | None = None) -> Verification:
    async with db.transaction(pool) as conn:
        return await service.verified(conn, known or {})


async def rename(pool: db.Pool, times: int) -> None:
    """Make the queue `accounts`, then change it in `times` transactions."""
    async with db.transaction(pool) as conn:
        await conn.execute("INSERT INTO queues (name) VALUES ('accounts') ON CONFLICT DO NOTHING")
    for n in range(times):
        async with db.transaction(pool) as conn:
            await conn.execute("UPDATE queues SET description = $1", f"No. {n} of {times}")


async def tamper(pool: db.Pool, *statements: str) -> None:
    """As the owner of the tables can: with the guards off."""
    async with db.transaction(pool) as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await conn.execute(statement)
