"""The circuit breaker: by hand, and against a slow reference over any order of calls, outcomes and waits."""

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llm.breaker import Breaker, Permit, Tolerance
from models.llm.errors import ProviderError

TOLERANCE = Tolerance(failure_rate=0.5, least_calls=3, window_s=10, open_s=5, probes=2)

Step: TypeAlias = tuple[str, float | tuple[int, bool | None]]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reference:
    """The rules as they are written down, worked out anew from the whole history at every question."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.opened: list[float] = []
        self.settled: list[tuple[float, int, bool | None]] = []
        """When, in which era, and whether it failed."""
        self.era = 0
        self.open = False
        self.admitted: list[int] = []

    def admit(self) -> int | None:
        if self.open:
            if self.clock.now < self.opened[-1] + TOLERANCE.open_s:
                return None
            outcomes = [failed for _, era, failed in self.settled if era == self.era]
            if self.admitted.count(self.era) - len(outcomes) >= TOLERANCE.probes:
                return None
        self.admitted.append(self.era)
        return self.era

    def settle(self, era: int, failed: bool | None) -> None:
        if era != self.era:
            return
        self.settled.append((self.clock.now, era, failed))
        since = self.clock.now - TOLERANCE.window_s
        mine = [(at, f) for at, e, f in self.settled if e == self.era and f is not None]
        if self.open:
            if failed:
                self._turn(to_open=True)
            elif sum(not f for _, f in mine) >= TOLERANCE.probes:
                self._turn(to_open=False)
            return
        recent = [f for at, f in mine if at > since]
        rate = sum(recent) / len(recent) if recent else 0.0
        if failed is not None and len(recent) >= TOLERANCE.least_calls and rate >= TOLERANCE.failure_rate:
            self._turn(to_open=True)

    def _turn(self, *, to_open: bool) -> None:
        self.open, self.era = to_open, self.era + 1
        if to_open:
            self.opened.append(self.clock.now)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.just(0.0)),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 5), st.sampled_from([True, False, None]))),
        st.tuples(st.just("fail"), st.just(0.0)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 4.0, 5.0, 11.0])),
    ),
    max_size=60,
)


@given(steps)
def test_like_the_reference(script: Sequence[Step]) -> None:
    clock = Clock()
    breaker, reference = Breaker(TOLERANCE, clock=clock), Reference(clock)
    under_way: list[tuple[Permit, int]] = []
    for kind, what in script:
        if kind == "wait":
            assert isinstance(what, float)
            clock.now += what
        elif kind in {"admit", "fail"}:
            permit, expected = breaker.admit(), reference.admit()
            assert (permit is None) == (expected is None)
            if permit is not None and expected is not None:
                under_way.append((permit, expected))
                if kind == "fail":
                    _settle(breaker, reference, under_way.pop(), failed=True)
        elif under_way:
            assert isinstance(what, tuple)
            _settle(breaker, reference, under_way.pop(what[0] % len(under_way)), failed=what[1])
        assert (breaker.state == "closed") == (not reference.open)


def _settle(breaker: Breaker, reference: Reference, call: tuple[Permit, int], *, failed: bool | None) -> None:
    breaker.settle(call[0], failed)
    reference.settle(call[1], failed)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(ProviderError, match="broken"), breaker.call():
            raise ProviderError("broken", "scripted")


def test_opens_probes_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(TOLERANCE, clock=clock)
    fail(breaker, 3)
    with pytest.raises(ProviderError, match="circuit_open"), breaker.call():
        pass
    clock.now = 5
    assert breaker.state == "half_open"
    for _ in range(2):
        with breaker.call():
            pass
    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_again() -> None:
    clock = Clock()
    breaker = Breaker(TOLERANCE, clock=clock)
    fail(breaker, 3)
    clock.now = 5
    fail(breaker)
    assert breaker.state == "open"


def test_a_refusal_and_a_full_queue_do_not_speak_against_the_provider() -> None:
    breaker = Breaker(TOLERANCE, clock=Clock())
    for reason in ["rejected", "context_length", "content_filter", "busy", "total_timeout"] * 3:
        with pytest.raises(ProviderError), breaker.call():
            raise ProviderError(reason, "scripted")  # type: ignore[arg-type]
    assert breaker.state == "closed"


def test_a_probe_that_nobody_waited_for_makes_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(TOLERANCE, clock=clock)
    fail(breaker, 3)
    clock.now = 5
    for _ in range(4):
        with pytest.raises(GeneratorExit), breaker.call():
            raise GeneratorExit
    assert breaker.state == "half_open"


def test_a_warned_one_opens_at_its_next_failure_but_not_by_hearsay() -> None:
    clock = Clock()
    breaker = Breaker(TOLERANCE, clock=clock)
    breaker.warn(2)
    assert breaker.state == "closed"
    with breaker.call():
        pass
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"
    assert breaker.open_for_s == TOLERANCE.open_s


def test_a_warning_wears_off() -> None:
    clock = Clock()
    breaker = Breaker(TOLERANCE, clock=clock)
    breaker.warn(2)
    clock.now = 2
    fail(breaker)
    assert breaker.state == "closed"
