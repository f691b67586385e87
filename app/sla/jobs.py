"""The sweep: what a clock has to say when nobody touches its ticket."""

from collections.abc import Mapping

from app.jobs import service as jobs
from app.jobs.schemas import Effect, Handler, Job
from app.sla import service
from app.sla.schemas import ReachJob

SLA_SWEEP = "sla_sweep"


def handlers() -> Mapping[str, Handler]:
    """What a `Runner` needs to know of SLA; a row of `schedules` says how often."""

    async def sweep(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            if await service.sweep(conn):
                await jobs.enqueue(conn, SLA_SWEEP, {}, dedupe_key="more")

    async def reach(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await service.reach(conn, ReachJob.model_validate(job.payload).customer_id)

    return {SLA_SWEEP: sweep, service.SLA_REACH: reach}
