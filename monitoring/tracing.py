"""Spans, from the request to the statement, over every process that a request comes through.

Off, and nearly free, until `set_up` finds an OTLP endpoint in the environment. What is kept of a trace is
decided at its end (`monitoring.sampling`). Attributes come from a fixed list, text in them is masked, and an
exception leaves its type and not its message: a trace holds no personal data.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from monitoring.sampling import KeepWhatMatters, Note, Rule
from monitoring.sampling import Value as Value

P = ParamSpec("P")
T = TypeVar("T")
Async: TypeAlias = Callable[P, Coroutine[Any, Any, T]]
Carrier: TypeAlias = Mapping[str, str]

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
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

_sampling: KeepWhatMatters | None = None
_current: ContextVar[Note | None] = ContextVar("current_span", default=None)
_w3c = TraceContextTextMapPropagator()


class Span:
    """A span under way; without tracing there is nothing behind it and every method does nothing.

    `with` makes it the current one: every span begun within is its child.
    """

    __slots__ = ("_note", "_outer")

    def __init__(self, note: Note | None) -> None:
        self._note = note
        self._outer: Note | None = None

    def __enter__(self) -> "Span":
        if self._note is not None:
            self._outer = _current.get()
            _current.set(self._note)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._note is None:
            return
        if error is not None:
            self.ended_by(error)
        _current.set(self._outer)  # not by token: a generator may be closed in another context
        if _sampling is not None:
            _sampling.end(self._note)

    def set(self, **attributes: Value) -> None:
        """Attributes by their names, `__` for a dot."""
        if self._note is not None:
            for name, value in attributes.items():
                self._note.attributes[_known(name)] = value

    def rename(self, name: str) -> None:
        if self._note is not None:
            self._note.name = name

    def fail(self, kind: str) -> None:
        """Mark it failed, once; `kind` is an exception's type or a reason from a fixed list."""
        if self._note is not None and not self._note.failed:
            self._note.failed = True
            self._note.attributes["error.type"] = kind

    def ended_by(self, error: BaseException) -> None:
        if isinstance(error, ENDINGS):
            self.set(eservice__outcome="abandoned")
        else:
            self.fail(type(error).__name__)


NOTHING = Span(None)


def set_up(service: str, instance: str, environ: Mapping[str, str]) -> bool:
    """Export this process's spans, if an endpoint is set; whether it is."""
    global _sampling
    if _sampling is not None or not (environ.get(ENDPOINT) or environ.get(TRACES_ENDPOINT)):
        return _sampling is not None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,
    )  # 0.2 s, only if wanted

    resource = {"service.namespace": "eservice", "service.name": service, "service.instance.id": instance}
    _sampling = KeepWhatMatters(
        BatchSpanProcessor(OTLPSpanExporter()), Rule.read(environ), Resource.create(resource)
    )
    return True


def shut_down() -> None:
    """Send what is left."""
    global _sampling
    if _sampling is not None:
        _sampling.shutdown()
    _sampling = None


def ids() -> tuple[str, str] | None:
    """The current trace's and span's ids, as logs and backends write them."""
    if _sampling is None or (at := _current.get()) is None:
        return None
    return f"{at.trace_id:032x}", f"{at.id:016x}"


def span(
    name: str,
    attributes: Mapping[str, Value] = {},
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    caller: Carrier | None = None,
    trusted: bool = True,
) -> Span:
    """Run what follows within a span.

    `caller` is where another process's trace goes on. A client's is not `trusted`: it may name the trace, and
    not say that it is to be kept.
    """
    if _sampling is None:
        return NOTHING
    return Span(_begin(_sampling, name, attributes, kind, caller, trusted))


def traced(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value
) -> Callable[[Async[P, T]], Async[P, T]]:
    """A span around every call of an async function; `__` in an attribute's name is a dot."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}

    def decorate(function: Async[P, T]) -> Async[P, T]:
        @functools.wraps(function)
        async def within(*args: P.args, **kwargs: P.kwargs) -> T:
            if _sampling is None:
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
    if _sampling is None:
        async with aclosing(cast(Any, source(NOTHING))) as items:
            async for item in items:
                yield item
        return
    sampling = _sampling
    note = _begin(sampling, name, attributes, kind, caller, trusted=True)
    shown = Span(note)
    try:
        async with aclosing(cast(Any, _stepwise(source(shown), note))) as items:
            async for item in items:
                yield item
    except BaseException as error:
        shown.ended_by(error)
        raise
    finally:
        sampling.end(note)


async def _stepwise(source: AsyncIterator[T], note: Note) -> AsyncIterator[T]:
    try:
        while True:
            outer = _current.get()
            _current.set(note)
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            finally:
                _current.set(outer)
            yield item
    finally:
        await cast(Any, source).aclose()


def carrier() -> dict[str, str]:
    """What another process needs to go on with this trace; from here on the trace is kept by all of them."""
    if _sampling is None or (at := _current.get()) is None:
        return {}
    _sampling.keep(at)
    return {"traceparent": f"00-{at.trace_id:032x}-{at.id:016x}-01"}


def environ() -> dict[str, str]:
    """`carrier` for a process that is started here, as OpenTelemetry names it for environments."""
    return {name.upper(): value for name, value in carrier().items()}


def _begin(
    sampling: KeepWhatMatters,
    name: str,
    attributes: Mapping[str, Value],
    kind: SpanKind,
    caller: Carrier | None,
    trusted: bool,
) -> Note:
    named = {_known(key): value for key, value in attributes.items()}
    if caller and (above := _remote(caller)) is not None:
        return sampling.go_on(name, kind, named, above, told=trusted)
    return sampling.begin(name, kind, named, None if caller is not None else _current.get())


def _remote(caller: Carrier) -> SpanContext | None:
    found = trace.get_current_span(_w3c.extract(caller, context=otel_context.Context())).get_span_context()
    return found if found.is_valid else None


@functools.cache  # of literals in the code
def _known(name: str) -> str:
    name = name.replace("__", ".")
    if name not in ATTRIBUTES:
        raise ValueError(
            f"{name} is not in tracing.ATTRIBUTES: say there what it is, and that it is nobody's"
        )
    return name
