"""Which traces are kept: a share of all, and every one that was slow, failed, or left this process.

A process holds the spans of a request until the request has ended in it, and knows then how it went. Once a
trace crosses to another process none of them knows alone: all of them export it whole, and the collector,
where the pieces meet, decides (`monitoring/collector`, `tail_sampling`). So no trace is ever kept in parts.

Most spans are never exported. They are noted down in the plainest form there is, and become OpenTelemetry's
own, their attributes masked, only if they are: a request's span then costs 10 µs where the SDK's costs 65.
"""

import random
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from monitoring.masking import mask

Value: TypeAlias = str | int | float | bool

MOST_SPANS = 500
"""Of one request held back in one process; what is more is lost."""
MOST_TEXT = 120
"""Characters of one attribute."""
REMEMBERED = 2_000
"""Traces whose late spans still find out what became of theirs."""
TRACE_ID_BITS = 2**64
SCOPE = InstrumentationScope("eservice")
SAMPLED = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True)
class Rule:
    """`ratio` of all traces, at most `per_s` of them a second in a process, so that a rush of requests does
    not become a rush of spans; and those that took `slow_s` or longer in their first process, however many.
    """

    ratio: float = 0.1
    slow_s: float = 0.25
    per_s: float = 20

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Rule":
        """`OTEL_TRACES_SAMPLER_ARG`, `ESERVICE_TRACE_SLOW_S` and `ESERVICE_TRACES_PER_S`."""
        return cls(
            float(environ.get("OTEL_TRACES_SAMPLER_ARG") or cls.ratio),
            float(environ.get("ESERVICE_TRACE_SLOW_S") or cls.slow_s),
            float(environ.get("ESERVICE_TRACES_PER_S") or cls.per_s),
        )

    def takes(self, trace_id: int) -> bool:
        """As OpenTelemetry's TraceIdRatioBased: the same answer in every process."""
        return trace_id % TRACE_ID_BITS < self.ratio * TRACE_ID_BITS


@dataclass(slots=True, eq=False)
class Fragment:
    """What one process has of one request, from its local root down."""

    kept: bool
    root: int
    notes: list["Note"] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True, eq=False)
class Note:
    """A span as it is held back; times in ns since 1970."""

    name: str
    kind: SpanKind
    attributes: dict[str, Value]
    trace_id: int
    id: int
    parent: int | None
    remote: bool
    fragment: Fragment
    started: int
    ended: int = 0
    failed: bool = False

    def span(self, resource: Resource) -> ReadableSpan:
        """As OpenTelemetry has it."""
        parent = self.parent and SpanContext(self.trace_id, self.parent, self.remote, SAMPLED)
        return ReadableSpan(
            name=self.name,
            context=SpanContext(self.trace_id, self.id, False, SAMPLED),
            parent=parent or None,
            resource=resource,
            attributes={
                key: mask(value)[:MOST_TEXT] if isinstance(value, str) else value
                for key, value in self.attributes.items()
            },
            kind=self.kind,
            status=Status(StatusCode.ERROR if self.failed else StatusCode.UNSET),
            start_time=self.started,
            end_time=self.ended,
            instrumentation_scope=SCOPE,
        )


class KeepWhatMatters:
    """Begins and ends the spans of one process; what is kept goes to `exporter`."""

    def __init__(self, exporter: SpanProcessor, rule: Rule, resource: Resource | None = None) -> None:
        self._exporter = exporter
        self._rule = rule
        self._resource = resource or Resource({})
        self._remembered: OrderedDict[int, None] = OrderedDict()
        self._second = 0
        self._taken = 0

    def begin(self, name: str, kind: SpanKind, attributes: dict[str, Value], parent: Note | None) -> Note:
        """A span under `parent`; without one the first of a new trace."""
        if parent is None:
            return self._rooted(name, kind, attributes, _random(128), None)
        if parent.fragment.ended:
            return self._rooted(name, kind, attributes, parent.trace_id, parent.id)
        trace_id, fragment = parent.trace_id, parent.fragment
        return Note(name, kind, attributes, trace_id, _random(64), parent.id, False, fragment, time.time_ns())

    def go_on(
        self, name: str, kind: SpanKind, attributes: dict[str, Value], caller: SpanContext, *, told: bool
    ) -> Note:
        """A span under one of another process; `told`: that process says the trace is kept."""
        return self._rooted(name, kind, attributes, caller.trace_id, caller.span_id, remote=True, told=told)

    def _rooted(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Value],
        trace_id: int,
        parent: int | None,
        *,
        remote: bool = False,
        told: bool = False,
    ) -> Note:
        own, now = _random(64), time.time_ns()
        kept = told or trace_id in self._remembered or (self._rule.takes(trace_id) and self._has_room(now))
        return Note(name, kind, attributes, trace_id, own, parent, remote, Fragment(kept, own), now)

    def _has_room(self, now: int) -> bool:
        """Whether this second's share is not used up; takes one of it."""
        if now // 1_000_000_000 != self._second:
            self._second, self._taken = now // 1_000_000_000, 0
        self._taken += 1
        return self._taken <= self._rule.per_s

    def end(self, note: Note) -> None:
        note.ended = time.time_ns()
        fragment = note.fragment
        fragment.kept = fragment.kept or note.failed
        if fragment.ended:
            self._export(fragment, [note])
            return
        if len(fragment.notes) < MOST_SPANS or note.id == fragment.root:
            fragment.notes.append(note)
        if note.id == fragment.root:
            fragment.kept = fragment.kept or note.ended - note.started >= self._rule.slow_s * 1e9
            fragment.ended = True
            notes, fragment.notes = fragment.notes, []
            self._export(fragment, notes)

    def keep(self, note: Note) -> None:
        """The trace leaves this process."""
        note.fragment.kept = True
        self._remember(note.trace_id)

    def _export(self, fragment: Fragment, notes: list[Note]) -> None:
        if not fragment.kept:
            return
        self._remember(notes[-1].trace_id)
        for note in notes:
            self._exporter.on_end(note.span(self._resource))

    def _remember(self, trace_id: int) -> None:
        self._remembered[trace_id] = None
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _random(bits: int) -> int:
    return random.getrandbits(bits) or 1  # 0 means none
