"""Gauges that nobody's request moves: read from PostgreSQL every few seconds, by the workers."""

import asyncio
import contextlib
from collections.abc import Collection

import structlog

from app import db
from app.analytics import service as analytics
from app.audit import service as audit
from app.jobs import observation as jobs
from app.knowledge import service as knowledge
from app.triage import drift
from app.usage import service as usage
from app.webhooks import jobs as webhooks

log = structlog.get_logger(__name__)

EVERY_S = 5.0


async def keep(pool: db.Pool, kinds: Collection[str], stop: asyncio.Event) -> None:
    """Until `stop` is set, of these kinds of jobs. Every worker does it: the same figures everywhere."""
    while not stop.is_set():
        try:
            async with db.transaction(pool) as conn:
                await jobs.gauge(conn, kinds)
                await knowledge.gauge(conn)
                await usage.gauge(conn)
                await analytics.gauge(conn)
                await audit.gauge(conn)
                await drift.gauge(conn)
                await webhooks.gauge(conn)
        except Exception as error:  # figures are no reason to end; the next look may succeed
            log.warning("figures not read", exc_info=error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
