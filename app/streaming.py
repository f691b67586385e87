"""Server-sent events over HTTP."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar, cast

from fastapi.responses import StreamingResponse

T = TypeVar("T")
encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""`json.dumps` with options makes an encoder for every call: 18 µs a chunk instead of 14."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

EVENT_SCHEMA = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "description": "JSON"}},
}
"""One named event, for the OpenAPI document."""


def event(kind: str, data: object, event_id: int | None = None) -> bytes:
    """A named event, as EventSource reads it."""
    known = "" if event_id is None else f"id: {event_id}\n"
    return f"{known}event: {kind}\ndata: {encoded(data)}\n\n".encode()


def data(payload: object) -> bytes:
    """An event without a name, as OpenAI's clients read it."""
    return f"data: {encoded(payload)}\n\n".encode()


async def primed(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """`items`, its first one already waited for: what fails before it still gets an honest status."""
    source = cast(AsyncGenerator[T, None], items)
    try:
        first = await anext(source)
    except StopAsyncIteration:
        return _after([], source)
    return _after([first], source)


async def _after(first: list[T], rest: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    async with aclosing(rest):
        for item in first:
            yield item
        async for item in rest:
            yield item


def response(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)
