"""The log as this replica's listeners follow it: read once however many there are.

Nobody has a queue that could overflow: the newest events lie in one ring, and who falls behind it reads the
database. While nobody listens, nothing is read.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import structlog

from app import db
from app.errors import Overloaded, TooManyRequests
from app.events import service
from app.events.schemas import DomainEvent
from config.profile import EventSettings

log = structlog.get_logger(__name__)

RING = 2000
PAGE = 200


class TooManyListeners(Overloaded):
    """This replica has as many open event streams as it takes; try again soon."""


class TooManyOfYours(TooManyRequests):
    """You have as many event streams open as one person may; close one."""


class Feed:
    def __init__(self, pool: db.Pool, settings: EventSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._ring: deque[DomainEvent] = deque(maxlen=RING)
        self._head = 0
        self._news = asyncio.Condition()
        self._listeners: Counter[UUID] = Counter()
        self._reading: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        return self._listeners.total()

    @asynccontextmanager
    async def listening(self, who: UUID) -> AsyncIterator[None]:
        """Counts a listener, for whom the log is read; an error past the limits, theirs or everybody's."""
        if self._listeners[who] >= self._settings.max_streams_each:
            raise TooManyOfYours
        if self.listeners >= self._settings.max_streams:
            raise TooManyListeners
        self._listeners[who] += 1
        try:
            yield
        finally:
            self._listeners -= Counter((who,))  # forgets who has none left
            if not self._listeners and self._reading:
                self._reading.cancel()
                self._reading = None

    async def end(self) -> int:
        """The position to follow from for who wants only what comes."""
        async with db.transaction(self._pool) as conn:
            await service.place(conn)
            return await service.end(conn)

    async def is_kept(self, position: int) -> bool:
        async with db.transaction(self._pool) as conn:
            return await service.is_kept(conn, position)

    async def follow(self, position: int, *, quiet_s: float) -> AsyncIterator[DomainEvent | None]:
        """What comes after `position`, in order, without end; `None` for every `quiet_s` without news.

        Call it inside `listening`. No connection is held in between.
        """
        while True:
            events = await self._next(position)
            for event in events:
                position = event.position
                yield event
            if not events and not await self._wait(position, quiet_s):
                yield None

    async def _next(self, position: int) -> list[DomainEvent]:
        if self._ring and self._ring[0].position <= position + 1:
            return [event for event in self._ring if event.position > position][:PAGE]
        async with db.transaction(self._pool) as conn:
            return await service.after(conn, position, PAGE)

    async def _wait(self, position: int, quiet_s: float) -> bool:
        """Until there is something after `position`; `False` where nothing came in time."""
        if self._reading is None or self._reading.done():
            self._ring.clear()
            self._head = position
            self._reading = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(quiet_s), self._news:
                await self._news.wait_for(lambda: self._head > position)
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        while True:
            try:
                events = await self._read_once()
            except (db.DatabaseDown, asyncpg.PostgresError) as error:
                log.warning("the log cannot be read, listeners wait", exc_info=error)
                events = []
            if events:
                async with self._news:
                    self._ring.extend(events)
                    self._head = events[-1].position
                    self._news.notify_all()
            if len(events) < PAGE:
                await asyncio.sleep(self._settings.poll_s)

    async def _read_once(self) -> list[DomainEvent]:
        """Places events itself: streams go on while no Worker runs."""
        async with db.transaction(self._pool) as conn:
            await service.place(conn)
        async with db.transaction(self._pool) as conn:
            return await service.after(conn, self._head, PAGE)

    async def close(self) -> None:
        if self._reading:
            self._reading.cancel()
