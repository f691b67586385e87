"""What was found to drift, for those who watch."""

from app.auth.schemas import Identity
from app.db import Connection
from app.triage import repository
from app.triage.schemas import Day
from app.triage.service import require_lead


async def days(conn: Connection, who: Identity, limit: int) -> list[Day]:
    """Newest first."""
    require_lead(who)
    return await repository.days(conn, None, limit)
