"""What was found to drift, for those who watch."""

from app.auth.schemas import Identity
from app.db import Connection
from app.triage import repository
from app.triage.schemas import Day
from app.triage.service import require_lead
from monitoring import metrics

FRESH_DAYS = 3
"""A day that was judged longer ago says nothing of now."""


async def days(conn: Connection, who: Identity, limit: int) -> list[Day]:
    """Newest first."""
    require_lead(who)
    return await repository.days(conn, None, limit)


async def gauge(conn: Connection) -> None:
    """Set the gauge of each statistic by the newest day that it was judged for; `TriageDrift` rings on it."""
    alarms = await repository.newest_alarms(conn, FRESH_DAYS)
    for statistic in metrics.TRIAGE_DRIFT.declaration.labels["statistic"].fixed:
        metrics.TRIAGE_DRIFT.set(float(alarms.get(statistic, False)), statistic=statistic)
