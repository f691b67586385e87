"""Tells callers how they stand: `RateLimit` and `RateLimit-Policy`.

The form is that of draft-ietf-httpapi-ratelimit-headers-10.
"""

import math

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.limits.buckets import Standing


def fields(standing: Standing) -> dict[str, str]:
    """`r` requests remain; in `t` seconds the whole quota `q` is there, which takes `w` from nothing."""
    name = f'"{standing.policy}"'
    return {
        "RateLimit-Policy": f"{name};q={standing.limit};w={math.ceil(standing.window_s)}",
        "RateLimit": f"{name};r={standing.remaining};t={math.ceil(standing.reset_s)}",
    }


class RateLimitHeaders:
    """On every answer, also errors and streams, of a request that was charged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and (standing := state.get("rate_limit")):
                MutableHeaders(scope=message).update(fields(standing))
            await send(message)

        await self.app(scope, receive, told)
