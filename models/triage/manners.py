"""Whether tickets were labelled in two manners by turns, and which of the past is worth what now.

Who sorts a desk's tickets changes: holidays, a second team, new names for old topics. The same text then gets
another label for some days, and a classifier learns the average of both. Here the order of the examples
tells the manners apart: a hidden Markov model (Rabiner, "A Tutorial on Hidden Markov Models", 1989) in which
a label's odds, given what the nearest other texts were labelled, are multiplied by a factor of the manner's
own. Either manner has a state that passes soon, as a stand-in's day, and one that lasts: what the last
examples say of the future hangs on how long they have been going on. Examples then count as much as their
manner is likelier in the near future than it was in the past. Nobody names a manner or its days; where one
explains the labels as well, every example counts the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Vectors
from models.triage.neighbours import BLOCK, NEAREST, SHARPNESS

HORIZON = 250
"""Tickets to come for which the manner is forecast: trainings should be less than that apart."""

LEAST, MOST = 0.125, 2.0
"""What an example counts at the least, beside those that count most: its text is still a ticket of this desk.
And at the most: where a manner has just begun, few examples must not stand for all that is to come."""

MANNER = np.array([0, 0, 1, 1])
"""Of each state, the passing one of either manner first."""

LASTS = np.array([50.0, 1500.0, 50.0, 1500.0])
"""Tickets for which each state is thought to last, as firmly as two stretches of it would say so."""

ENTERED = np.array([4.0, 1.0, 4.0, 1.0])
"""How often each state is thought to have been entered: most changes pass soon."""

RARE_LABEL = 0.2
"""Share of what a text is expected to be that comes from all labels alike, not from its neighbours."""

PRIOR = 5.0
"""Examples of every label that say a manner does nothing to it."""

STRETCH = 25
"""Examples in a row that are taken for one manner where the search begins."""

GROUPED = 0.5
"""Share of examples labelled as the one before from which a file is sorted by label, not by time."""

MOST_ROUNDS, ENOUGH_GAIN = 40, 0.5

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Manners:
    """`factors` has shape (2, labels); `turns` (4, 4) is the chance of each state after each.

    `states` (examples, 4) is how likely each example is of each, `likelihood` the logarithm of all labels'.
    """

    factors: Numbers
    turns: Numbers
    states: Numbers
    likelihood: float

    @property
    def share(self) -> Numbers:
        """How likely each example is of each manner; shape (examples, 2)."""
        return _by_manner(self.states)

    def weights(self) -> Numbers:
        """Of every example, 1 on average: the chance of its manner soon over that in the past."""
        state, soon = self.states[-1], np.zeros(len(MANNER))
        for _ in range(HORIZON):
            state = state @ self.turns
            soon += state / HORIZON
        worth = np.minimum(_by_manner(soon[None])[0] / self.share.mean(axis=0), MOST)
        weight = self.share @ np.maximum(worth, LEAST * worth.max())
        return np.asarray(weight / weight.mean())


def weights(vectors: Vectors, target: NDArray[np.int64], count: int) -> Numbers:
    """How much each example counts, 1 on average; examples oldest first, `target` below `count`.

    2 s for 7,000 examples on one core.
    """
    n = len(target)
    alike = np.ones(n)
    if n < 2 * STRETCH or (target[1:] == target[:-1]).mean() > GROUPED:
        return alike
    expected = _expected(vectors, target, count)
    one = float(np.log(expected[np.arange(n), target]).sum())
    found = find(expected, target)
    evidence = found.likelihood - one - count * np.log(n)  # Schwarz's criterion
    return found.weights() if evidence > 0 else alike


def find(expected: Numbers, target: NDArray[np.int64]) -> Manners:
    """By expectation maximisation, from the stretches that differ most from what was expected."""
    factors = _start(expected, target)
    turns, begin, last = _turns(np.zeros((4, 4))), np.full(4, 0.25), -np.inf
    while True:
        whole = expected @ factors.T
        seen = expected[np.arange(len(target)), target][:, None] * factors.T[target] / whole
        states, passed, likelihood = _states(seen[:, MANNER], turns, begin)
        if likelihood - last < ENOUGH_GAIN:
            return Manners(factors, turns, states, likelihood)
        last = likelihood
        for manner, share in enumerate(_by_manner(states).T):
            given = np.bincount(target, weights=share, minlength=expected.shape[1])
            awaited = (share / whole[:, manner]) @ expected
            factors[manner] = (given + PRIOR) / (awaited + PRIOR)
        turns, begin = _turns(passed), states[0]


def _by_manner(states: Numbers) -> Numbers:
    return np.asarray(states.reshape(len(states), 2, 2).sum(axis=2))


def _turns(passed: Numbers) -> Numbers:
    """Chances from how often each state followed each: it lasts, or goes over to the other manner's two."""
    over = np.where(MANNER[:, None] != MANNER, passed, 0)
    ends = (over.sum(axis=1) + 2) / (over.sum(axis=1) + passed.diagonal() + 2 * LASTS)
    enters = over.sum(axis=0) + ENTERED
    turns = np.where(MANNER[:, None] != MANNER, enters, 0)
    turns *= (ends / turns.sum(axis=1))[:, None]
    return np.asarray(turns + np.diag(1 - ends))


def _expected(vectors: Vectors, target: NDArray[np.int64], count: int) -> Numbers:
    """Each text's chances of the labels by its nearest others; shape (examples, labels)."""
    n = len(vectors)
    votes = np.zeros((n, count))
    k = min(NEAREST, n - 1)
    for i in range(0, n, BLOCK):
        likeness = vectors[i : i + BLOCK] @ vectors.T
        rows = np.arange(len(likeness))
        likeness[rows, i + rows] = -np.inf
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        weight = np.exp(SHARPNESS * np.take_along_axis(likeness, nearest, axis=1))
        np.add.at(votes, (i + rows[:, None], target[nearest]), weight)
    usual = np.bincount(target, minlength=count) + 0.5
    nearby = votes / votes.sum(axis=1, keepdims=True)
    return np.asarray((1 - RARE_LABEL) * nearby + RARE_LABEL * usual / usual.sum())


def _start(expected: Numbers, target: NDArray[np.int64]) -> Numbers:
    """Factors of two groups of stretches, told apart along the direction in which stretches differ most."""
    n, count = expected.shape
    stretch = np.arange(n) // STRETCH
    given, awaited = np.zeros((2, stretch[-1] + 1, count))
    np.add.at(given, (stretch, target), 1)
    np.add.at(awaited, stretch, expected)
    surprise = (given - awaited) / np.sqrt(STRETCH * expected.mean(axis=0) + 0.5)
    left, size, _ = np.linalg.svd(surprise, full_matrices=False)
    place = left[:, 0] * size[0]
    place = place if place.max() >= -place.min() else -place
    odd = place > (place.max() + np.median(place)) / 2
    return np.array(
        [(given[at].sum(axis=0) + PRIOR) / (awaited[at].sum(axis=0) + PRIOR) for at in (~odd, odd)]
    )


def _states(seen: Numbers, turns: Numbers, begin: Numbers) -> tuple[Numbers, Numbers, float]:
    """Forward and backward: each example's states, how often each follows each, the log-likelihood."""
    n = len(seen)
    ahead, scale, back = np.empty(seen.shape), np.empty(n), np.ones(seen.shape)
    state = begin * seen[0]
    for i in range(n):
        if i:
            state = (state @ turns) * seen[i]
        scale[i] = state.sum()
        state = ahead[i] = state / scale[i]
    for i in range(n - 2, -1, -1):
        back[i] = turns @ (seen[i + 1] * back[i + 1]) / scale[i + 1]
    after = seen[1:] * back[1:] / scale[1:, None]
    return ahead * back, turns * (ahead[:-1].T @ after), float(np.log(scale).sum())
