"""Whether today's tickets are still what triage learnt: one day against the days before it.

Each statistic is scaled so that it does not depend on how many tickets a day had, and then held against its
own history: a desk's days differ by more than chance (releases, campaigns, holidays), so a plain two-sample
test would ring every week. A day is alarming where a prediction interval of Student's t over the usual days
holds such a value out once in `RARE` days: one false alarm in ten years for each statistic, as far as its
values are normally distributed. Labels that nobody gave in the days before are counted, and counts are held
against the negative binomial distribution that follows from the usual days' rate. docs/TRIAGE.md has what
came of it on two real years.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import nbdtrc, stdtr

RARE = 3650
"""Days in which one false alarm of a statistic is to be expected."""

LEAST_HISTORY = 20
"""Usual days before a statistic can ring."""

LEAST_DAY, LEAST_REFERENCE = 10, 100
"""Tickets of a day, and of the days before it, below which a statistic says nothing."""

SAMPLE = 600
"""Tickets of the reference that inputs are compared with: the whole costs seconds and says the same."""

FLOOR = 1e-3
BOTH_WAYS = frozenset({"confidence"})
NEW_LABELS = "new_labels"


@dataclass(frozen=True, slots=True)
class Sample:
    """Tickets of some days. `projections` has shape (tickets, directions), also (0, 0); `people` are the
    labels that people gave, `agreed` whether triage had given the same."""

    projections: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: Sequence[str]
    people: Sequence[str]
    agreed: Sequence[bool]


def statistics(day: Sample, reference: Sample) -> dict[str, tuple[float, int]]:
    """What can be said of the day: each statistic's value and the number of tickets it stands on."""
    found: dict[str, tuple[float, int]] = {}
    if len(day.projections) >= LEAST_DAY and len(reference.projections) >= LEAST_REFERENCE:
        found["inputs"] = _log_scaled(mmd(day.projections, reference.projections)), len(day.projections)
    if len(day.labels) >= LEAST_DAY and len(reference.labels) >= LEAST_REFERENCE:
        found["confidence"] = _standardised(day.probabilities, reference.probabilities), len(day.labels)
        found["labels"] = _log_scaled(_divergence(day.labels, reference.labels)), len(day.labels)
    if len(day.people) >= LEAST_DAY and len(reference.people) >= LEAST_REFERENCE:
        found["corrections"] = _log_scaled(_divergence(day.people, reference.people)), len(day.people)
        wrong = 1 - np.array(day.agreed, dtype=np.float32), 1 - np.array(reference.agreed, dtype=np.float32)
        found["disagreement"] = _standardised(*wrong), len(day.people)
    return found


def new_labels(day: Sequence[str], before: Sequence[str]) -> dict[str, tuple[float, int]]:
    """How many labels people gave that nobody had given in the days before, whatever version was at work."""
    if len(day) < LEAST_DAY or len(before) < LEAST_REFERENCE:
        return {}
    known = set(before)
    return {NEW_LABELS: (float(sum(label not in known for label in day)), len(day))}


def surprise(statistic: str, value: float, history: Sequence[float]) -> float | None:
    """Chance of a value this far out on another usual day; `None` before there is a history."""
    n = len(history)
    if n < LEAST_HISTORY:
        return None
    if statistic == NEW_LABELS:  # Poisson; its rate is Gamma distributed, flat before the history
        return float(nbdtrc(value - 1, sum(history) + 1, n / (n + 1))) if value > 0 else 1.0
    spread = max(float(np.std(history, ddof=1)), FLOOR) * (1 + 1 / n) ** 0.5
    t = (value - float(np.mean(history))) / spread
    beyond = float(stdtr(n - 1, -abs(t) if statistic in BOTH_WAYS else -t))
    return min(1.0, 2 * beyond) if statistic in BOTH_WAYS else beyond


def is_alarm(p: float | None) -> bool:
    return p is not None and p < 1 / RARE


def mmd(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Squared maximum mean discrepancy (Gretton et al., 2012) times the size of `one`; Gaussian kernel."""
    other = other[:: -(-len(other) // SAMPLE)]
    between = _squares(one, other)
    width = max(float(np.median(between)), 1e-9)
    within = np.exp(-_squares(one, one) / width).mean() + np.exp(-_squares(other, other) / width).mean()
    return float(len(one) * max(within - 2 * np.exp(-between / width).mean(), 0.0))


def _divergence(one: Sequence[str], other: Sequence[str]) -> float:
    """Jensen-Shannon divergence of two label mixes, times the size of `one`."""
    a, b = _shares(one), _shares(other)
    names = a.keys() | b.keys()
    p = np.array([a.get(name, 0.0) for name in names])
    q = np.array([b.get(name, 0.0) for name in names])
    middle = (p + q) / 2
    return len(one) * (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def _shares(labels: Sequence[str]) -> Mapping[str, float]:
    return {name: count / len(labels) for name, count in Counter(labels).items()}


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())


def _standardised(day: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Difference of the means in standard errors of the day's."""
    return float((day.mean() - reference.mean()) / max(float(reference.std()), FLOOR) * len(day) ** 0.5)


def _log_scaled(value: float) -> float:
    return float(np.log(max(value, FLOOR)))


def _squares(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0), dtype=np.float32)
