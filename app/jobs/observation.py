"""What jobs leave in metrics and traces."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from app.db import Connection
from app.jobs import repository
from app.jobs.schemas import Job
from monitoring import metrics, tracing


@contextmanager
def run(job: Job) -> Iterator[None]:
    """One run of a job. How long it waited is counted by the database's clock against ours."""
    metrics.QUEUE_LATENCY.observe(max(0.0, (datetime.now(UTC) - job.run_at).total_seconds()), kind=job.kind)
    started, outcome = time.perf_counter(), "failed"
    attributes: dict[str, tracing.Value] = {"eservice.job.kind": job.kind, "eservice.attempt": job.attempts}
    try:
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id), job_kind=job.kind),
            tracing.span(f"job {job.kind}", attributes),
        ):
            yield
        outcome = "done"
    finally:
        metrics.JOB_DURATION.observe(time.perf_counter() - started, kind=job.kind, outcome=outcome)


async def gauge(conn: Connection, kinds: Collection[str]) -> None:
    """Set the gauges of the queue as it is now; of these kinds also where nothing waits."""
    waiting = await repository.waiting(conn)
    for kind in set(kinds) - {kind for kind, *_ in waiting}:
        _set(kind, 0, 0.0, 0)
    for figures in waiting:
        _set(*figures)


def _set(kind: str, due: int, age_s: float, dead: int) -> None:
    metrics.QUEUE_DEPTH.set(due, kind=kind)
    metrics.QUEUE_AGE.set(age_s, kind=kind)
    metrics.JOBS_DEAD.set(dead, kind=kind)
