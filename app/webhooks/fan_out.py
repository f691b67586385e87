"""Makes deliveries of events: a sink of the log's relay, whose effect is rows in PostgreSQL."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app import db
from app.db import Connection
from app.events.relay import Batch
from app.events.schemas import DomainEvent
from app.jobs import service as jobs
from app.webhooks import delivery_repository, repository
from app.webhooks.event_types import wants
from config.webhooks import WebhookSettings

DELIVER = "deliver_webhooks"
"""The job that sends what is due to one endpoint; one of it waits for each."""


class FanOut:
    name = "webhooks"

    def __init__(self, pool: db.Pool, settings: WebhookSettings) -> None:
        self._pool = pool
        self._settings = settings

    async def deliver(self, batch: Batch) -> None:
        """Twice is the same as once: an event is delivered to an endpoint under its own id."""
        if not batch.events:
            return
        async with db.transaction(self._pool) as conn:
            await spread(conn, batch.events, self._settings.max_pending)

    async def close(self) -> None: ...


async def spread(conn: Connection, events: Sequence[DomainEvent], max_pending: int) -> None:
    """Let each event wait at every endpoint that wants it."""
    endpoints = {each.id: each for each in await repository.listening(conn)}
    wanted: dict[UUID, list[DomainEvent]] = defaultdict(list)
    for event in events:
        for endpoint in endpoints.values():
            is_new = event.position > endpoint.since_position
            if is_new and wants(endpoint.event_types, f"{event.aggregate}.{event.kind}"):
                wanted[endpoint.id].append(event)
    for endpoint_id, theirs in wanted.items():
        if await delivery_repository.add(conn, endpoint_id, theirs, max_pending=max_pending):
            await wake(conn, endpoint_id, endpoints[endpoint_id].resting_until)


async def wake(conn: Connection, endpoint_id: UUID, at: datetime | None = None) -> None:
    """Let the worker send what is due to this endpoint, at once or at that time."""
    payload = {"endpoint_id": str(endpoint_id)}
    await jobs.enqueue(conn, DELIVER, payload, dedupe_key=str(endpoint_id), run_at=at)
