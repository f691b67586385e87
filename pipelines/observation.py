"""Metrics and one trace of a batch job, for as long as its process runs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from monitoring import metrics, prometheus, tracing


@contextmanager
def batch(job: str) -> Iterator[None]:
    """Around a job's work: pushed, scraped and traced where the environment says where to.

    Its trace is that of the process that started it, where `TRACEPARENT` names one.
    """
    tracing.set_up(f"eservice-{job}", str(os.getpid()), os.environ)
    started = time.monotonic()
    try:
        with prometheus.batch(job, os.environ):
            with tracing.span(f"batch {job}", caller=_caller()):
                yield
            metrics.BATCH_DURATION.set(time.monotonic() - started, job=job)
            metrics.BATCH_SUCCESS.set(time.time(), job=job)
    finally:
        tracing.shut_down()


def _caller() -> dict[str, str] | None:
    parent = os.environ.get("TRACEPARENT")
    return {"traceparent": parent} if parent else None
