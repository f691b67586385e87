"""Hot reads in Redis, never staler than a second: what is asked often and changes seldom.

An entry names its tags (`ticket:<id>`, `user`, ...) and carries the stamp each had before its value was
read. Changing a thing gives its tags new stamps, so that what was read before counts for nothing, also
where it is written after. Stamps are random: one that Redis evicted never comes back.

Who changes something stamps at once. For those who died between a commit and its stamp, and for jobs, the
Worker follows the log of events (`Invalidator`) and says how far it has come: a mark that Redis lets expire
`FRESH_S` after the log was read. Without the mark nothing is answered from here: with the Worker, Redis or
the key away reads are slower, and as fresh as ever. Values are sealed (`app.vault.passing`).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from redis.asyncio import Redis

from app.cache import DOWN
from app.encryption import DataKey
from app.errors import ServiceError
from app.vault import passing
from app.vault.passing import PassingKey
from monitoring import metrics

FRESH_S = 0.9
STAMP_TTL_S = 3600
"""Longer than any entry lives: a stamp outlives what it vouches for."""

STAMPED_TTL_S = 60
AWAY_S = 1.0
"""How long Redis, or who has the key, is left alone after it failed."""

PREFIX = "hot:"
MARK = f"{PREFIX}fresh"


@dataclass(slots=True)
class Figures:
    """Reads of this replica since it started."""

    hits: int = 0
    """Answered without asking the database: kept, or being read for somebody else at that moment."""
    misses: int = 0
    skipped: int = 0
    """Asked while Redis, the mark or the key was missing."""


class HotReads:
    """Values are bytes; Redis' own memory limit and eviction decide how many there are."""

    def __init__(self, redis: "Redis", key: PassingKey, ttl_s: float = 300.0) -> None:
        self._redis = redis
        self._key = key
        self._ttl_ms = int(ttl_s * 1000)
        self._away_until = 0.0
        self._keyless_until = 0.0
        self._under_way: dict[tuple[str, bytes], asyncio.Task[bytes]] = {}
        self.figures = Figures()

    async def read(self, key: str, tags: Sequence[str], load: Callable[[], Awaitable[bytes]]) -> bytes:
        """The kept value of `key`, or what `load` finds, which is kept for who asks next."""
        metrics.CACHE_REQUESTS.add(cache="hot")
        seal = await self._sealing()
        found = await self._look(key, tags, seal) if seal else None
        if seal is None or found is None:
            self.figures.skipped += 1
            return await load()
        kept, stamps = found
        if kept is not None:
            self._hit()
            return kept
        if (task := self._under_way.get((key, stamps))) is not None:
            self._hit()
            return await asyncio.shield(task)
        self.figures.misses += 1
        return await self._load(key, stamps, load, seal)

    async def _sealing(self) -> DataKey | None:
        """The key, where it is of use; whether the answer needs what is away too, `load` finds out."""
        if time.monotonic() < max(self._away_until, self._keyless_until):
            return None
        try:
            return await self._key.known()
        except ServiceError:
            self._keyless_until = time.monotonic() + AWAY_S
            return None

    def _hit(self) -> None:
        self.figures.hits += 1
        metrics.CACHE_HITS.add(cache="hot")

    async def _load(
        self, key: str, stamps: bytes, load: Callable[[], Awaitable[bytes]], seal: DataKey
    ) -> bytes:
        """Once for all who ask at this moment. Who asks after a change has other stamps, and loads anew."""

        async def loaded() -> bytes:
            try:
                value = await load()
                await self._keep(key, stamps, passing.seal(seal, key, value))
                return value
            finally:
                del self._under_way[key, stamps]

        task = self._under_way[key, stamps] = asyncio.create_task(loaded())
        return await asyncio.shield(task)

    async def forget(self, tags: Collection[str], events: Collection[UUID] = ()) -> None:
        """What carries one of these tags is read anew from now on; where Redis is away the log sees to it.

        `events` said so: the log's follower need not say it again, which would cost as many reads again.
        """
        if tags and time.monotonic() >= self._away_until:
            try:
                await stamp(self._redis, tags, events)
            except DOWN:
                self._away_until = time.monotonic() + AWAY_S

    async def _look(self, key: str, tags: Sequence[str], seal: DataKey) -> tuple[bytes | None, bytes] | None:
        """The entry, if it counts, and the stamps to keep a new one with; `None`: do without."""
        names = [f"{PREFIX}tag:{tag}" for tag in tags]
        try:
            found: list[bytes | None] = [*await self._redis.mget([MARK, f"{PREFIX}{key}", *names])]  # type: ignore[list-item]
            mark, entry, *stamps = found
            if mark is None:
                return None
            if None in stamps:
                stamps = await self._first_stamps(names)
        except DOWN:
            self._away_until = time.monotonic() + AWAY_S
            return None
        known = [each for each in stamps if each is not None]
        if len(known) < len(names):
            return None
        head = b",".join(known) + b"\n"
        counts = entry is not None and entry.startswith(head)
        return (passing.open_(seal, key, entry[len(head) :]) if entry and counts else None), head

    async def _first_stamps(self, names: Sequence[str]) -> list[bytes | None]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.set(name, _new_stamp(), ex=STAMP_TTL_S, nx=True)
            pipeline.mget(names)
            *_, stamps = await pipeline.execute()
        return list(stamps)

    async def _keep(self, key: str, stamps: bytes, value: bytes) -> None:
        try:
            await self._redis.set(f"{PREFIX}{key}", stamps + value, px=self._ttl_ms)
        except DOWN:
            self._away_until = time.monotonic() + AWAY_S


async def stamp(redis: "Redis", tags: Collection[str], events: Collection[UUID] = ()) -> None:
    """Give tags new stamps, and note for which events that was done."""
    async with redis.pipeline(transaction=False) as pipeline:
        for tag in tags:
            pipeline.set(f"{PREFIX}tag:{tag}", _new_stamp(), ex=STAMP_TTL_S)
        for event in events:
            pipeline.set(f"{PREFIX}stamped:{event}", b"1", ex=STAMPED_TTL_S)
        await pipeline.execute()


async def stamped(redis: "Redis", events: Sequence[UUID]) -> set[UUID]:
    """Those of the events for which tags have new stamps already."""
    found = await redis.mget([f"{PREFIX}stamped:{event}" for event in events])
    return {event for event, there in zip(events, found, strict=True) if there is not None}


async def vouch(redis: "Redis", as_of: float) -> None:
    """Say that all that was committed before `as_of` (`time.monotonic()`) has been stamped."""
    left_ms = int((as_of + FRESH_S - time.monotonic()) * 1000)
    if left_ms > 0:
        await redis.set(MARK, b"1", px=left_ms)


def _new_stamp() -> bytes:
    return secrets.token_hex(6).encode()
