"""Carries the log to a sink: in order, at least once, from one process at a time.

A sink that fails is asked again, later and later; what waits for it stays in the log. Two processes can
overlap only where one loses its lease in the middle of a delivery: then events come twice, with the same ids.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg
import structlog

from app import db
from app.events import repository, service
from app.events.schemas import DomainEvent
from app.recurring import Recurring
from config.profile import EventSettings

log = structlog.get_logger(__name__)

TROUBLE = (db.DatabaseDown, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next; perhaps nothing. `complete` says that nothing committed before `as_of` is missing."""

    events: Sequence[DomainEvent]
    complete: bool
    as_of: float
    """`time.monotonic()` before the log was read."""


class Sink(Protocol):
    """Where events go. Whatever `deliver` raises means: not delivered, ask again."""

    name: str

    async def deliver(self, batch: Batch) -> None:
        """Take them all, in their order, so that they survive this process; also called without events."""

    async def close(self) -> None: ...


class Relay:
    """Reads for one sink."""

    def __init__(self, pool: db.Pool, sink: Sink, settings: EventSettings) -> None:
        self._pool = pool
        self._sink = sink
        self._settings = settings
        self._token = uuid.uuid4()
        self._passes = Recurring(
            self.once, every_s=settings.poll_s, timeout_s=settings.timeout_s, failed=self._failed
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Carry events until `stop` is set; then let another process go on at once."""
        try:
            await self._passes.run(stop)
        finally:
            await self._let_go()

    def _failed(self, error: Exception, retry_s: float) -> None:
        """A sink is somebody else's server: whatever it says, the log keeps."""
        log.warning("events wait", sink=self._sink.name, retry_s=retry_s, exc_info=error)

    async def once(self) -> bool:
        """Deliver one batch; whether there may be more."""
        as_of = time.monotonic()
        async with db.transaction(self._pool) as conn:
            position = await repository.lease(conn, self._sink.name, self._token, self._settings.lease_s)
            if position is None:
                return False
            placed_all = await service.place(conn)
        async with db.transaction(self._pool) as conn:
            events = await repository.after(conn, position, self._settings.batch)
        full = len(events) == self._settings.batch
        await self._sink.deliver(Batch(events, complete=placed_all and not full, as_of=as_of))
        if events:
            async with db.transaction(self._pool) as conn:
                if not await repository.advance(conn, self._sink.name, self._token, events[-1].position):
                    return False
        return full or not placed_all

    async def _let_go(self) -> None:
        try:
            async with db.transaction(self._pool) as conn:
                await repository.release(conn, self._sink.name, self._token)
            await self._sink.close()
        except TROUBLE:
            log.warning("lease not given back, it will run out", sink=self._sink.name)
