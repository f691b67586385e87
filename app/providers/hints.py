"""Replicas tell each other, through Redis, which providers they have stopped asking.

A hint makes another replica's breaker wary, which then opens at its next failure and not at its fifth: a
dead provider costs each replica one answer. Redis away, every replica finds out for itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from redis.asyncio import Redis

from app.cache import DOWN
from models.llm.breaker import Breaker

EVERY_S = 1.0


class Hints:
    def __init__(self, redis: Redis, breakers: Callable[[], Mapping[str, Breaker]]) -> None:
        """`breakers` by their provider's name, as they are at the moment."""
        self._redis = redis
        self._breakers = breakers

    async def exchange(self) -> None:
        """Say which circuits are open here; be wary of those that are open elsewhere."""
        breakers = self._breakers()
        open_ms = {name: int(1000 * breaker.open_for_s) for name, breaker in breakers.items()}
        closed = [name for name, ms in open_ms.items() if ms == 0]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name, ms in open_ms.items():
                if ms > 0:
                    pipeline.set(_key(name), b"1", px=ms)
            pipeline.mget([_key(name) for name in closed] or [_key("")])
            *_, hints = await pipeline.execute()
        for name, hint in zip(closed, hints, strict=False):
            if hint is not None:
                breakers[name].warn(2 * EVERY_S)

    async def run(self, every_s: float = EVERY_S) -> None:
        while True:
            with suppress(*DOWN):  # each for itself meanwhile; others log that Redis is away
                await self.exchange()
            await asyncio.sleep(every_s)


def _key(provider: str) -> str:
    return f"llm:open:{provider}"
