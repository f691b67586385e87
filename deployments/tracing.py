"""One trace and one request id over Serve's handles: `sent()` goes with a call, `@continued` takes it up.

Ray Serve could do it itself (`RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`), but decides on keeping at the start,
adds two spans a hop, and records exceptions with their messages, which may be a customer's words (ADR 60).
"""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import structlog
from opentelemetry.trace import SpanKind

from monitoring import logs, tracing

F = TypeVar("F", bound=Callable[..., Any])
CARRIED = ("request_id", "user_id", "job_id", "job_kind")
"""What log lines of another process are to say too."""


def sent() -> dict[str, str]:
    """What goes along with a call: the trace, the request and its user."""
    bound = structlog.contextvars.get_contextvars()
    state = logs.request_state.get() or {}
    known = {name: bound.get(name) or state.get(name) for name in CARRIED}
    return tracing.carrier() | {name: str(value) for name, value in known.items() if value}


def continued(method: F) -> F:
    """Let a deployment's method take `sent` and go on with its caller's trace, in a span of its own."""
    name = method.__qualname__

    def begin(sent: Mapping[str, str] | None) -> Mapping[str, str]:
        structlog.contextvars.bind_contextvars(
            **{key: value for key, value in (sent or {}).items() if key in CARRIED}
        )
        return sent or {}

    @functools.wraps(method)
    async def call(self: Any, *args: Any, sent: Mapping[str, str] | None = None, **kwargs: Any) -> Any:
        with tracing.span(name, kind=SpanKind.SERVER, caller=begin(sent)):
            return await method(self, *args, **kwargs)

    @functools.wraps(method)
    async def stream(
        self: Any, *args: Any, sent: Mapping[str, str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        caller = begin(sent)
        async for item in tracing.stream(
            name, lambda _: method(self, *args, **kwargs), kind=SpanKind.SERVER, caller=caller
        ):
            yield item

    chosen: Any = stream if inspect.isasyncgenfunction(method) else call
    return chosen
