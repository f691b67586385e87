"""What jobs leave in metrics and traces."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from opentelemetry.trace import SpanKind

from app.db import Connection
from app.jobs import repository
from app.jobs.schemas import Job
from monitoring import logs, metrics, tracing


def origin(kind: str) -> dict[str, str]:
    """What a job that is asked for here and now remembers of it: the trace, and the request's id.

    Nothing where it follows a job of its own kind: what comes round for ever is not one trace.
    """
    bound = structlog.contextvars.get_contextvars()
    if bound.get("job_kind") == kind:
        return {}
    request_id = bound.get("request_id") or (logs.request_state.get() or {}).get("request_id")
    return tracing.carrier() | ({"request_id": str(request_id)} if request_id else {})


@contextmanager
def run(job: Job) -> Iterator[None]:
    """One run of a job, in the trace of what made it. What it waited is the database's clock against ours."""
    metrics.QUEUE_LATENCY.observe(max(0.0, (datetime.now(UTC) - job.run_at).total_seconds()), kind=job.kind)
    started, outcome = time.perf_counter(), "failed"
    attributes: dict[str, tracing.Value] = {"eservice.job.kind": job.kind, "eservice.attempt": job.attempts}
    made_by = job.origin or {}
    said = {"request_id": made_by["request_id"]} if "request_id" in made_by else {}
    caller = made_by if "traceparent" in made_by else None
    try:
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id), job_kind=job.kind, **said),
            tracing.span(f"job {job.kind}", attributes, kind=SpanKind.CONSUMER, caller=caller),
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
