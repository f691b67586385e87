"""Events as entries of one Redis stream. An entry's id is its event's position: Redis refuses repeats."""

import json
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.events.relay import Batch
from app.events.schemas import DomainEvent

TOO_SMALL = "equal or smaller"


class StreamAhead(RuntimeError):
    """The stream holds other events at these positions: it is another database's; name another."""


class RedisStream:
    """At most about `maxlen` entries are kept: Redis trims whole nodes."""

    name = "redis"

    def __init__(self, redis: "Redis", stream: str, maxlen: int) -> None:
        self._redis = redis
        self._stream = stream
        self._maxlen = maxlen

    async def deliver(self, batch: Batch) -> None:
        if not batch.events:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for event in batch.events:
            pipeline.xadd(
                self._stream, fields(event), id=f"{event.position}-0", maxlen=self._maxlen, approximate=True
            )
        answers = await pipeline.execute(raise_on_error=False)
        for event, answer in zip(batch.events, answers, strict=True):
            if isinstance(answer, ResponseError) and TOO_SMALL in str(answer):
                await self._check_same(event)
            elif isinstance(answer, Exception):
                raise answer

    async def _check_same(self, event: DomainEvent) -> None:
        """An entry that was there already is fine, also where it was trimmed meanwhile."""
        entries = await self._redis.xrange(self._stream, f"{event.position}-0", f"{event.position}-0")
        found: Any = entries[0][1] if entries else None
        if found and found.get(b"id") != str(event.id).encode():
            raise StreamAhead(f"{self._stream} has another event at {event.position}: name another stream")

    async def close(self) -> None:
        await self._redis.aclose()


def fields(
    event: DomainEvent,
) -> dict[Any, Any]:
    """All of an event as flat text, its data as JSON."""
    flat = event.model_dump(mode="json", exclude={"data", "position"})
    return {**flat, "data": json.dumps(event.data, ensure_ascii=False)}
