"""Spans, from the request to the statement, over every process that a request comes through.

Off, and nearly free, until `set_up` finds an OTLP endpoint in the environment. What is kept of a trace is
decided at its end (`monitoring.sampling`). Attributes come from a fixed list, text in them is masked, and an
exception leaves its type and not its message: a trace holds no personal data.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from monitoring.masking import mask
from monitoring.sampling import KEPT, KeepWhatMatters, Rule

P = ParamSpec("P")
T = TypeVar("T")
Value: TypeAlias = str | int | float | bool
Async: TypeAlias = Callable[P, Coroutine[Any, Any, T]]
Carrier: TypeAlias = Mapping[str, str]

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
MAX_TEXT = 120
ATTRIBUTES = frozenset(
    {
        "db.operation.name",
        "db.query.summary",
        "db.system.name",
        "error.type",
        "eservice.attempt",
        "eservice.job.kind",
        "eservice.outcome",
        "eservice.request_id",
        "eservice.stage",
        "eservice.texts",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "http.request.method",
        "http.response.status_code",
        "http.route",
    }
)
"""Everything a span may say; OpenTelemetry's semantic conventions where they have a name for it."""

ENDINGS = (asyncio.CancelledError, GeneratorExit)
"""Somebody left: no failure."""

_tracer: Tracer | None = None
_provider: TracerProvider | None = None
_sampling: KeepWhatMatters | None = None
_w3c = TraceContextTextMapPropagator()


class Span:
    """A span under way; without tracing there is nothing behind it and every method does nothing."""

    def __init__(self, span: trace.Span | None) -> None:
        self._span = span
        self._failed = False

    def set(self, **attributes: Value) -> None:
        """Attributes by their names, `__` for a dot."""
        if self._span is not None:
            for name, value in attributes.items():
                self._span.set_attribute(*_attribute(name.replace("__", "."), value))

    def rename(self, name: str) -> None:
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """Mark it failed, once; `kind` is an exception's type or a reason from a fixed list."""
        if self._span is not None and not self._failed:
            self._failed = True
            self._span.set_attribute("error.type", mask(kind)[:MAX_TEXT])
            self._span.set_status(StatusCode.ERROR)

    def ended_by(self, error: BaseException) -> None:
        if isinstance(error, ENDINGS):
            self.set(eservice__outcome="abandoned")
        else:
            self.fail(type(error).__name__)


NOTHING = Span(None)


def set_up(service: str, instance: str, environ: Mapping[str, str]) -> bool:
    """Export this process's spans, if an endpoint is set; whether it is."""
    global _tracer, _provider, _sampling
    if _tracer is not None or not (environ.get(ENDPOINT) or environ.get(TRACES_ENDPOINT)):
        return _tracer is not None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,
    )  # 0.2 s, only if wanted

    resource = {"service.namespace": "eservice", "service.name": service, "service.instance.id": instance}
    _provider = TracerProvider(resource=Resource.create(resource))
    _sampling = KeepWhatMatters(BatchSpanProcessor(OTLPSpanExporter()), Rule.read(environ))
    _provider.add_span_processor(_sampling)
    _tracer = _provider.get_tracer("eservice")
    return True


def shut_down() -> None:
    """Send what is left."""
    global _tracer, _provider, _sampling
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = _sampling = None


def ids() -> tuple[str, str] | None:
    """The current trace's and span's ids, as logs and backends write them."""
    if _tracer is None:
        return None
    at = trace.get_current_span().get_span_context()
    return (f"{at.trace_id:032x}", f"{at.span_id:016x}") if at.is_valid else None


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value] = {},
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    caller: Carrier | None = None,
    trusted: bool = True,
) -> Iterator[Span]:
    """Run what follows within a span.

    `caller` is where another process's trace goes on. A client's is not `trusted`: it may name the trace, and
    not say that it is to be kept.
    """
    if _tracer is None:
        yield NOTHING
        return
    started = _start(name, attributes, kind, caller, trusted)
    shown = Span(started)
    token = otel_context.attach(trace.set_span_in_context(started))
    try:
        yield shown
    except BaseException as error:
        shown.ended_by(error)
        raise
    finally:
        otel_context.detach(token)
        started.end()


def traced(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value
) -> Callable[[Async[P, T]], Async[P, T]]:
    """A span around every call of an async function; `__` in an attribute's name is a dot."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}

    def decorate(function: Async[P, T]) -> Async[P, T]:
        @functools.wraps(function)
        async def within(*args: P.args, **kwargs: P.kwargs) -> T:
            if _tracer is None:
                return await function(*args, **kwargs)
            with span(name, named, kind=kind):
                return await function(*args, **kwargs)

        return within

    return decorate


def call_of(system: str, operation: str) -> Callable[[Async[P, T]], Async[P, T]]:
    """`traced` for one operation of a store."""
    named = {"db__system__name": system, "db__operation__name": operation}
    return traced(f"{system} {operation}", kind=SpanKind.CLIENT, **named)


async def stream(
    name: str,
    source: Callable[[Span], AsyncIterator[T]],
    attributes: Mapping[str, Value] = {},
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    caller: Carrier | None = None,
) -> AsyncIterator[T]:
    """What `source` yields, within a span that is current only while `source` itself runs.

    A generator shares its reader's context: left current between two items, the span would adopt whatever
    the reader does there.
    """
    if _tracer is None:
        async with aclosing(cast(Any, source(NOTHING))) as items:
            async for item in items:
                yield item
        return
    started = _start(name, attributes, kind, caller, trusted=True)
    shown = Span(started)
    here = trace.set_span_in_context(started)
    try:
        async with aclosing(cast(Any, _stepwise(source(shown), here))) as items:
            async for item in items:
                yield item
    except BaseException as error:
        shown.ended_by(error)
        raise
    finally:
        started.end()


async def _stepwise(source: AsyncIterator[T], here: otel_context.Context) -> AsyncIterator[T]:
    try:
        while True:
            token = otel_context.attach(here)
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            finally:
                otel_context.detach(token)
            yield item
    finally:
        await cast(Any, source).aclose()


def carrier() -> dict[str, str]:
    """What another process needs to go on with this trace; from here on the trace is kept by all of them."""
    sent: dict[str, str] = {}
    if _sampling is not None:
        _sampling.keep(trace.get_current_span())
        _w3c.inject(sent)
    return sent


def _start(
    name: str, attributes: Mapping[str, Value], kind: SpanKind, caller: Carrier | None, trusted: bool
) -> trace.Span:
    assert _tracer is not None  # noqa: S101
    where = None
    if caller is not None:
        where = _w3c.extract(caller, context=otel_context.Context())
        where = otel_context.set_value(KEPT, trusted, where)
    named = dict(_attribute(key, value) for key, value in attributes.items())
    return _tracer.start_span(name, where, kind, named, record_exception=False)


def _attribute(name: str, value: Value) -> tuple[str, Value]:
    if name not in ATTRIBUTES:
        raise ValueError(
            f"{name} is not in tracing.ATTRIBUTES: say there what it is, and that it is nobody's"
        )
    return name, mask(value)[:MAX_TEXT] if isinstance(value, str) else value
