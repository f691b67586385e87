"""Tells callers how they stand: `RateLimit` and `RateLimit-Policy`, under /v1 also in OpenAI's words.

The form is that of draft-ietf-httpapi-ratelimit-headers-11 (May 2026). Its section 8.5 is why `t` is not the
time until the bucket is full: `r=20;t=0` would invite to twenty requests at once, and again.
"""

import math

from starlette.types import Message, Receive, Scope, Send

from app.asgi import HttpLayer
from app.limits.buckets import Standing


def fields(standing: Standing) -> dict[str, str]:
    """`r` requests remain, for the next `t` seconds; the whole quota `q` comes back within `w`.

    Of a refusal `t` ends no later than `Retry-After` (section 6).
    """
    name = f'"{standing.policy}"'
    return {
        "RateLimit-Policy": f"{name};q={standing.limit};w={math.ceil(standing.window_s)}",
        "RateLimit": f"{name};r={standing.remaining};t={math.ceil(standing.effective_s)}",
    }


def openai_fields(standing: Standing) -> dict[str, str]:
    """What OpenAI's clients pace themselves by. Tokens are not limited, so that nothing is said of them."""
    return {
        "x-ratelimit-limit-requests": str(standing.limit),
        "x-ratelimit-remaining-requests": str(standing.remaining),
        "x-ratelimit-reset-requests": duration(standing.reset_s),
    }


def duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `6s`, `1m30s`, `2h5m0s`."""
    if seconds < 1:
        return f"{math.ceil(1000 * seconds)}ms"
    minutes, left = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


class RateLimitHeaders(HttpLayer):
    """On every answer, also errors and streams, of a request that was charged."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and (standing := state.get("rate_limit")):
                said = fields(standing)
                if scope["path"].startswith("/v1/"):
                    said |= openai_fields(standing)
                pairs = [(name.lower().encode(), value.encode()) for name, value in said.items()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        await self.app(scope, receive, told)
