"""A circuit breaker: a provider that keeps failing is not asked for a while, then probed.

Lives in one replica and judges by that replica's calls. What other replicas say makes it wary, no more: a
single failure is then enough. It never opens by hearsay, and needs nobody to be up.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.llm.errors import FAULTS, REFUSALS, ProviderError

MOST_OUTCOMES = 1000
"""Kept at most: the newest say enough."""

State: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When a provider counts as failing, and how it comes back."""

    failure_rate: float = 0.5
    least_calls: int = 10
    """Fewer outcomes than this in the window never open the circuit."""
    window_s: float = 30.0
    open_s: float = 10.0
    probes: int = 2
    """Calls let through at a time when `open_s` is over; as many have to succeed."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A call let through; its outcome counts only while the circuit is as it was then."""

    era: int


class Breaker:
    def __init__(
        self, tolerance: Tolerance | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tolerance = tolerance or Tolerance()
        self._clock = clock
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._era = 0
        self._opened_at: float | None = None
        self._probing = 0
        self._recovered = 0
        self._wary_until = 0.0

    @property
    def open_for_s(self) -> float:
        """How long no call is let through from now on; 0 where some are."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._tolerance.open_s - self._clock())

    def warn(self, seconds: float) -> None:
        """Others find it failing: for so long the next failure opens the circuit."""
        self._wary_until = self._clock() + seconds

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._clock() >= self._opened_at + self._tolerance.open_s else "open"

    @property
    def recent(self) -> tuple[int, int]:
        """Calls and failures in the window, as far as they count for the next decision."""
        self._forget()
        return len(self._outcomes), self._failures

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call; `ProviderError("circuit_open")` instead of it while the circuit is open."""
        permit = self.admit()
        if permit is None:
            raise ProviderError("circuit_open", "this provider has failed too often lately")
        failed: bool | None = None  # the caller left, or the fault was nobody's
        try:
            yield
            failed = False
        except ProviderError as error:
            if error.reason in FAULTS | REFUSALS:
                failed = error.reason in FAULTS
            raise
        finally:
            self.settle(permit, failed)

    def admit(self) -> Permit | None:
        match self.state:
            case "open":
                return None
            case "half_open":
                if self._probing >= self._tolerance.probes:
                    return None
                self._probing += 1
        return Permit(self._era)

    def settle(self, permit: Permit, failed: bool | None) -> None:
        """How the call went; `None` says nothing about the provider. Every permit has to be settled once."""
        if permit.era != self._era:
            return
        if self._opened_at is not None:
            self._settle_probe(failed)
        elif failed is not None:
            self._outcomes.append((self._clock(), failed))
            self._failures += failed
            if self._is_failing():
                self._turn(self._clock())

    def _settle_probe(self, failed: bool | None) -> None:
        self._probing -= 1
        if failed:
            self._turn(self._clock())
        elif failed is False:
            self._recovered += 1
            if self._recovered >= self._tolerance.probes:
                self._turn(None)

    def _forget(self) -> None:
        oldest = self._clock() - self._tolerance.window_s
        while self._outcomes and (self._outcomes[0][0] <= oldest or len(self._outcomes) > MOST_OUTCOMES):
            self._failures -= self._outcomes.popleft()[1]

    def _is_failing(self) -> bool:
        calls, failures = self.recent
        if self._clock() < self._wary_until and self._outcomes and self._outcomes[-1][1]:
            return True
        return calls >= self._tolerance.least_calls and failures >= self._tolerance.failure_rate * calls

    def _turn(self, opened_at: float | None) -> None:
        self._era += 1
        self._opened_at = opened_at
        self._outcomes.clear()
        self._failures = 0
        self._probing = self._recovered = 0
