"""Counters, gauges and histograms whose labels are bounded, over whatever backend the process was given.

An instrument is declared once, at import, and costs a comparison until `use` names a backend: libraries and
tests record into nothing. What a label may say is part of its declaration, and what it may not say becomes
`other`, so that no caller, customer or provider can make a metric grow.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import product
from typing import Literal, Protocol, TypeAlias

NAMESPACE = "eservice_"
"""Stands before every name on its way to Prometheus, whose relabelling takes it off again: ours are told from
Ray's, whose own dashboards keep their names."""

OTHER = "other"
MOST_BEGUN = 10
Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A metric as every backend knows it. `labels` maps a name to the values it may have.

    `buckets` are a histogram's upper bounds, ascending, in the metric's unit.
    """

    kind: Kind
    name: str
    description: str
    labels: Mapping[str, "Values"]
    buckets: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        return NAMESPACE + self.name

    def beginnings(self) -> list[dict[str, str]]:
        """The series a counter starts at 0 with, where they are few: a first event is then an increase."""
        values = [each.fixed for each in self.labels.values()]
        if self.kind != "counter" or not all(values) or math.prod(map(len, values)) > MOST_BEGUN:
            return []
        return [dict(zip(self.labels, chosen, strict=True)) for chosen in product(*values)]


class Values:
    """The values one label may have: a fixed set, or the first `at_most` that come along."""

    def __init__(self, *fixed: str, at_most: int = 0, where: str = "") -> None:
        if bool(fixed) == bool(at_most):
            raise ValueError("a label has either fixed values or a bound on their number")
        self.where = where
        """What bounds the values in practice; `at_most` is for when that fails."""
        self.bound = len(fixed) or at_most
        self.fixed = fixed
        self._known = set(fixed)
        self._open = at_most

    def admit(self, value: str) -> str:
        """`value`, or `other` where it is one too many."""
        if value in self._known:
            return value
        if len(self._known) < self._open and value:
            self._known.add(value)
            return value
        return OTHER


class Series(Protocol):
    """One metric at a backend."""

    def record(self, value: float, labels: dict[str, str]) -> None:
        """Add to a counter, set a gauge, or observe."""
        ...


class Backend(Protocol):
    def series(self, declaration: Declaration) -> Series: ...


class _Instrument:
    def __init__(self, declaration: Declaration) -> None:
        if declaration.name in DECLARED:
            raise ValueError(f"{declaration.name} is declared twice")
        DECLARED[declaration.name] = self
        self.declaration = declaration
        self._series: Series | None = None

    def attach(self, backend: Backend | None) -> None:
        self._series = backend.series(self.declaration) if backend else None
        if self._series:
            for labels in self.declaration.beginnings():
                self._series.record(0.0, labels)

    def _record(self, value: float, labels: Mapping[str, str]) -> None:
        if self._series is None:
            return
        values = self.declaration.labels
        if labels.keys() != values.keys():
            raise ValueError(f"{self.declaration.name} has the labels {sorted(values)}, not {sorted(labels)}")
        self._series.record(value, {name: values[name].admit(given) for name, given in labels.items()})


class Counter(_Instrument):
    """What only grows."""

    def add(self, value: float = 1.0, **labels: str) -> None:
        if value >= 0:
            self._record(value, labels)

    def one(self, labels: Labels) -> None:
        self._record(1.0, labels)

    def add_if_committed(self, **labels: str) -> None:
        """Add one when the surrounding `settled()` ends well; at once where there is none."""
        if (held := _held.get()) is None:
            self.one(labels)
        else:
            held.append((self, labels))


class Gauge(_Instrument):
    """What is now."""

    def set(self, value: float, **labels: str) -> None:
        self._record(value, labels)


class Histogram(_Instrument):
    """How large or how long, in buckets."""

    def observe(self, value: float, **labels: str) -> None:
        self._record(value, labels)


DECLARED: dict[str, _Instrument] = {}
"""Every metric of this process by name."""

_held: ContextVar[list[tuple[Counter, dict[str, str]]] | None] = ContextVar("held", default=None)


@contextmanager
def settled() -> Iterator[None]:
    """Count what is added `if_committed` within, unless it ends with an exception."""
    outer = _held.get()
    held: list[tuple[Counter, dict[str, str]]] = [] if outer is None else outer
    _held.set(held)
    try:
        yield
    finally:
        _held.set(outer)  # not by token: a generator may be closed in another context
    if outer is None:
        for counter, labels in held:
            counter.one(labels)


def use(backend: Backend | None) -> None:
    """Let this process record to `backend`; `None` lets it record nothing."""
    for instrument in DECLARED.values():
        instrument.attach(backend)


def counter(name: str, description: str, **labels: Values) -> Counter:
    return Counter(Declaration("counter", name, description, labels))


def gauge(name: str, description: str, **labels: Values) -> Gauge:
    return Gauge(Declaration("gauge", name, description, labels))


def histogram(name: str, description: str, buckets: tuple[float, ...], **labels: Values) -> Histogram:
    return Histogram(Declaration("histogram", name, description, labels, buckets))
