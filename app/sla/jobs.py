"""The sweep: what a clock has to say when nobody touches its ticket."""

from collections.abc import Mapping

from app.jobs import service as jobs
from app.jobs.schemas import Effect, Handler, Job
from app.sla import service

SLA_SWEEP = "sla_sweep"


def handlers() -> Mapping[str, Handler]:
    """What a `Runner` needs to know of SLA; a row of `schedules` says how often."""

    async def sweep(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            if await service.sweep(conn):
                await jobs.enqueue(conn, SLA_SWEEP, {}, dedupe_key="more")

    return {SLA_SWEEP: sweep}
