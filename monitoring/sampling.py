"""Which traces are kept: a share of all, and every one that was slow, failed, or left this process.

A process holds the spans of a request until the request has ended in it, and knows then how it went. Once a
trace crosses to another process none of them knows alone: all of them export it whole, and the collector,
where the pieces meet, decides (`monitoring/collector`, `tail_sampling`). So no trace is ever kept in parts.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

KEPT = otel_context.create_key("eservice-kept")
MOST_SPANS = 500
"""Of one request held back in one process; what is more is lost."""
REMEMBERED = 2_000
"""Traces whose late spans still find out what became of theirs."""
TRACE_ID_BITS = 2**64


@dataclass(frozen=True)
class Rule:
    """`ratio` of all traces, and those that took `slow_s` or longer in their first process."""

    ratio: float = 0.1
    slow_s: float = 0.25

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Rule":
        """`OTEL_TRACES_SAMPLER_ARG` and `ESERVICE_TRACE_SLOW_S`."""
        return cls(
            float(environ.get("OTEL_TRACES_SAMPLER_ARG") or cls.ratio),
            float(environ.get("ESERVICE_TRACE_SLOW_S") or cls.slow_s),
        )

    def takes(self, trace_id: int) -> bool:
        """As OpenTelemetry's TraceIdRatioBased: the same answer in every process."""
        return trace_id % TRACE_ID_BITS < self.ratio * TRACE_ID_BITS


@dataclass(slots=True)
class Fragment:
    """What one process has of one request, from its local root down."""

    trace_id: int
    root: int
    kept: bool
    spans: list[ReadableSpan] = field(default_factory=list)
    ended: bool = False


class KeepWhatMatters(SpanProcessor):
    def __init__(self, exporter: SpanProcessor, rule: Rule) -> None:
        self._exporter = exporter
        self._rule = rule
        self._open: dict[int, Fragment] = {}
        self._remembered: OrderedDict[int, None] = OrderedDict()

    def on_start(self, span: Span, parent_context: otel_context.Context | None = None) -> None:
        at, parent = span.context, span.parent
        if at is None:
            return
        fragment = self._open.get(parent.span_id) if parent and not parent.is_remote else None
        if fragment is None:
            told = bool(parent and parent.is_remote and otel_context.get_value(KEPT, parent_context))
            kept = told or at.trace_id in self._remembered or self._rule.takes(at.trace_id)
            fragment = Fragment(at.trace_id, at.span_id, kept)
        self._open[at.span_id] = fragment

    def on_end(self, span: ReadableSpan) -> None:
        at = span.context
        fragment = self._open.pop(at.span_id, None) if at else None
        if at is None or fragment is None:
            return
        fragment.kept = fragment.kept or not span.status.is_ok
        if fragment.ended:
            self._export(fragment, [span])
            return
        if len(fragment.spans) < MOST_SPANS or at.span_id == fragment.root:
            fragment.spans.append(span)
        if at.span_id == fragment.root:
            self._end(fragment, span)

    def keep(self, span: trace.Span) -> None:
        """The trace leaves this process."""
        if fragment := self._open.get(span.get_span_context().span_id):
            fragment.kept = True
            self._remember(fragment.trace_id)

    def _end(self, fragment: Fragment, root: ReadableSpan) -> None:
        took = ((root.end_time or 0) - (root.start_time or 0)) / 1e9
        fragment.kept = fragment.kept or took >= self._rule.slow_s
        fragment.ended = True
        spans, fragment.spans = fragment.spans, []
        self._export(fragment, spans)

    def _export(self, fragment: Fragment, spans: list[ReadableSpan]) -> None:
        if fragment.kept:
            self._remember(fragment.trace_id)
            for span in spans:
                self._exporter.on_end(span)

    def _remember(self, trace_id: int) -> None:
        self._remembered[trace_id] = None
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
