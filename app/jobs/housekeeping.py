"""What comes round to keep the tables of work and events from growing for ever, and months to come ready."""

from collections.abc import Mapping

from app.audit import service as audit
from app.events import service as events
from app.jobs import repository
from app.jobs.schemas import Effect, Handler, Job
from config.profile import Profile

KEEP_EVENT_LOG = "keep_event_log"
PRUNE_JOBS = "prune_jobs"


def handlers(profile: Profile) -> Mapping[str, Handler]:
    """Rows of `schedules` say how often."""

    async def keep_event_log(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await events.keep_months(conn, ahead=profile.events.months_ahead, keep=profile.events.months_kept)
            await audit.keep_months(conn, ahead=profile.audit.months_ahead, keep=profile.audit.months_kept)

    async def prune_jobs(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            dead = profile.retention.dead_jobs
            await repository.prune(
                conn, keep_s=profile.jobs.keep_done_s, keep_dead_s=dead * 86_400.0 if dead else None
            )

    return {KEEP_EVENT_LOG: keep_event_log, PRUNE_JOBS: prune_jobs}
