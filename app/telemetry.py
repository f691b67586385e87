"""Measures every request: how long it took, on which route, how it ended."""

import time

import structlog
from opentelemetry.trace import SpanKind
from starlette.types import Message, Receive, Scope, Send

from app.asgi import HttpLayer
from monitoring import metrics, tracing

log = structlog.get_logger(__name__)

SLOW_S = 1.0
"""From when a request leaves a line in the log."""
UNMATCHED = "unmatched"
UNTRACED = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by every probe."""
INFERENCE = frozenset(
    {
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/rerank",
        "/api/v1/chat/conversations/{conversation_id}/messages",
        "/api/v1/knowledge/search",
        "/api/v1/routing/preview",
    }
)
"""Routes whose time is mostly a model's: the objectives for the API's latency leave them out."""


class Seen:
    """What is known of a request so far; one that breaks off before its answer counts as failed."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.status = 500

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.started, 6)


class Telemetry(HttpLayer):
    """The outermost layer, so that it also sees what the layers below refuse."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = Seen()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        try:
            if scope["path"] in UNTRACED:
                await self.app(scope, receive, watched)
            else:
                await self._traced(scope, receive, watched, seen)
        finally:
            route = template(scope)
            metrics.API_REQUEST.observe(
                seen.seconds,
                route=route,
                method=scope["method"],
                status=f"{seen.status // 100}xx",
                work="inference" if route in INFERENCE and scope["method"] == "POST" else "desk",
            )

    async def _traced(self, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        method = scope["method"]
        about: dict[str, tracing.Value] = {"http.request.method": method}
        with tracing.span(method, about, kind=SpanKind.SERVER, caller=_caller(scope), trusted=False) as span:
            await self.app(scope, receive, send)
            route = template(scope)
            span.rename(f"{method} {route}")
            span.set(
                http__route=route,
                http__response__status_code=seen.status,
                eservice__request_id=scope.get("state", {}).get("request_id", ""),
            )
            if seen.status >= 500:
                span.fail(str(seen.status))
            if seen.status >= 500 or seen.seconds >= SLOW_S:
                log.info(
                    "slow or failed request",
                    method=method,
                    route=route,
                    status=seen.status,
                    seconds=seen.seconds,
                )


def _caller(scope: Scope) -> dict[str, str]:
    """The client's own trace, if it has one."""
    given = dict(scope["headers"]).get(b"traceparent")
    return {"traceparent": given.decode("latin-1")} if given else {}


def template(scope: Scope) -> str:
    """The route as it was declared, never as it was asked for: `/api/v1/tickets/{ticket_id}`."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))
