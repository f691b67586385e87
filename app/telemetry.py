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


class Telemetry(HttpLayer):
    """The outermost layer, so that it also sees what the layers below refuse.

    One function on purpose: every request pays for it, and each frame more that it waits in is paid again.
    """

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, method = time.perf_counter(), scope["method"]
        status = 500  # what breaks off before its answer counts as failed

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._span(method, scope) as span:
                await self.app(scope, receive, watched)
                route = template(scope)
                seconds = time.perf_counter() - started
                span.rename(f"{method} {route}")
                span.set(
                    http__route=route,
                    http__response__status_code=status,
                    eservice__request_id=scope.get("state", {}).get("request_id", ""),
                )
                if status >= 500:
                    span.fail(str(status))
                if status >= 500 or seconds >= SLOW_S:
                    _note_down(method, route, status, seconds)
        finally:
            route = template(scope)
            metrics.API_REQUEST.observe(
                time.perf_counter() - started,
                route=route,
                method=method,
                status=f"{status // 100}xx",
                work="inference" if method == "POST" and route in INFERENCE else "desk",
            )

    @staticmethod
    def _span(method: str, scope: Scope) -> tracing.Span:
        if scope["path"] in UNTRACED:
            return tracing.NOTHING
        about = {"http.request.method": method}
        return tracing.span(method, about, kind=SpanKind.SERVER, caller=_caller(scope), trusted=False)


def _note_down(method: str, route: str, status: int, seconds: float) -> None:
    log.info("slow or failed request", method=method, route=route, status=status, seconds=round(seconds, 6))


def _caller(scope: Scope) -> dict[str, str]:
    """The client's own trace, if it has one."""
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return {"traceparent": value.decode("latin-1")}
    return {}


def template(scope: Scope) -> str:
    """The route as it was declared, never as it was asked for: `/api/v1/tickets/{ticket_id}`."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))
