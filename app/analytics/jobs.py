"""Keeps the figures fresh."""

from collections.abc import Mapping

from app.analytics import service
from app.jobs.schemas import Effect, Handler, Job

REFRESH = "refresh_analytics"


def handlers() -> Mapping[str, Handler]:
    """A row of `schedules` says how often."""

    async def refresh(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await service.refresh(conn)

    return {REFRESH: refresh}
