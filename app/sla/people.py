"""Every SQL statement about what one customer was promised beyond others."""

from uuid import UUID

from app.db import Connection
from app.holdings import Counts, Holdings, Part

TIERS = Part(
    "tier",
    "SELECT user_id AS id, tier FROM customer_tiers WHERE user_id = $1 AND $2::uuid IS NULL LIMIT $3",
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    rows = await conn.fetch("DELETE FROM customer_tiers WHERE user_id = $1 RETURNING user_id", person)
    return {"tiers": len(rows)}


HOLDINGS = Holdings((TIERS,), _forget)
