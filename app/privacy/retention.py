"""Empties what has been kept for as long as the profile says; a row of `schedules` says how often."""

from collections.abc import Mapping

from app import db
from app.holdings import Empty
from app.jobs.schemas import Effect, Handler, Job
from app.privacy.holders import HOLDERS
from config.profile import RetentionSettings

KEEP_RETENTION = "keep_retention"
BATCHES = 100
"""Of one kind in one run, so that after a change of the rules other jobs have their turn between."""

RULES: Mapping[str, Empty] = {kind: empty for each in HOLDERS for kind, empty in each.retained.items()}


def handlers(pool: db.Pool, settings: RetentionSettings) -> Mapping[str, Handler]:
    async def keep_retention(job: Job, effect: Effect) -> None:
        for kind, empty in RULES.items():
            days: int | None = getattr(settings, kind)
            if days is not None:
                await _empty(pool, empty, days, settings.batch)

    return {KEEP_RETENTION: keep_retention}


async def _empty(pool: db.Pool, empty: Empty, days: int, batch: int) -> None:
    for _ in range(BATCHES):
        async with db.transaction(pool) as conn:
            if await empty(conn, days, batch) < batch:
                return
