"""The log as server-sent events. An event's `id` is its position: who comes back with it misses nothing."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Header
from fastapi.responses import StreamingResponse

from app import streaming
from app.events.feed import Feed
from app.events.schemas import DomainEvent
from config.profile import EventSettings

LastEventId = Annotated[int | None, Header(ge=0, le=2**63 - 1, description="`id` of the last event you had")]
EVENT = {
    "title": "Server-sent event",
    "description": "named `aggregate.kind`, its id the position, its data a DomainEvent as JSON; or `reset`",
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": EVENT}}}}
"""Before OpenAPI 3.2, `schema` says what each event of a stream is."""

GONE = "these events are not kept any more: read anew what you show"
QUIET_S = 15.0
"""Proxies cut what is silent for longer than about a minute."""


async def response(
    feed: Feed,
    settings: EventSettings,
    who: UUID,
    after: int | None,
    wanted: Callable[[DomainEvent], bool] = lambda event: True,
    *,
    key: UUID | None = None,
) -> StreamingResponse:
    """What comes after the position `after`, or from now on; an error where `who` or everybody has enough.

    It ends when something happens to the account of `who` or to their API `key`: who may still read on
    comes back with the last id, as after every end.
    """
    wished = streaming.primed(_encoded(feed, settings, who, key, after, wanted))
    return streaming.response(await wished)


async def _encoded(
    feed: Feed,
    settings: EventSettings,
    who: UUID,
    key: UUID | None,
    after: int | None,
    wanted: Callable[[DomainEvent], bool],
) -> AsyncIterator[bytes]:
    """Ends by itself after `stream_s`, before Serve cuts it; browsers come back with the last id."""
    ends_at = time.monotonic() + settings.stream_s
    quiet_s = min(QUIET_S, settings.stream_s)
    async with feed.listening(who):
        position = after if after is not None else await feed.end()
        yield f"retry: 1000\nid: {position}\n\n".encode()
        if after is not None and not await feed.is_kept(after):
            position = await feed.end()
            yield streaming.event("reset", {"reason": GONE}, position)
        async with aclosing(cast(Any, feed.follow(position, quiet_s=quiet_s))) as events:
            async for event in events:
                if event is not None:
                    position = event.position
                    if wanted(event):
                        yield encoded(event)
                ending = time.monotonic() > ends_at or _of_listener(event, who, key)
                if event is None or ending:
                    yield f"id: {position}\n\n".encode()
                if ending:
                    return


def _of_listener(event: DomainEvent | None, who: UUID, key: UUID | None) -> bool:
    """Whether this is their role, their account or their key: what they may may be another thing now."""
    return event is not None and (event.aggregate, event.aggregate_id) in {("user", who), ("api_key", key)}


def encoded(event: DomainEvent) -> bytes:
    return streaming.event(f"{event.aggregate}.{event.kind}", event.model_dump(mode="json"), event.position)
