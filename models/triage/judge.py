"""From what a rule says to how likely that is: of tickets the rules called `high`, how many people did too.

It starts from a stated belief, worth ten tickets a verdict, and moves as people's labels come in. With enough
of them a classifier on the text's vector and the rules' verdict is mixed in, as far as it makes held-out
labels likelier. Until then the rules decide, and a reason can name them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Vectors
from models.triage.linear import Head, softmax
from models.triage.protocol import Label

BELIEF = 10.0
"""Tickets that the belief about a verdict is worth."""

RIGHT = 0.6
"""Of verdicts, before anybody has judged one. On the sample desk it is 0.67 of 64 priorities."""

NEAR = 0.35
"""How much less likely each further step away from the verdict is than the one before."""


@dataclass(frozen=True, slots=True)
class Judge:
    """`shares` has shape (verdicts, labels), rows sum to 1; the head sees (vector, verdict one-hot)."""

    names: tuple[str, ...]
    shares: NDArray[np.float32]
    head: Head
    weight: float
    """Of the head in the mix, in [0, 1]."""

    examples: int

    def __call__(self, verdict: str, vector: Vectors) -> Label:
        """The likeliest name, given what the rules say; `vector` has shape (dimensions,)."""
        row = self.names.index(verdict)
        chances = self.shares[row]
        if self.weight:
            seen = np.concatenate([vector, one_hot(np.array([row]), len(self.names))[0]])
            chances = (1 - self.weight) * chances + self.weight * softmax(self.head.dense(seen[None]))[0]
        best = int(chances.argmax())
        return Label(self.names[best], float(chances[best]))


def untaught(names: Sequence[str]) -> Judge:
    """What is believed before anybody has said anything."""
    n = len(names)
    return Judge(tuple(names), shares_of(np.zeros((n, n))), no_head(n), 0.0, 0)


def no_head(n: int) -> Head:
    """What a judge has whose head weighs nothing."""
    return Head(np.zeros((0, n), dtype=np.float32), np.zeros(n, dtype=np.float32))


def shares_of(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean of a Dirichlet distribution whose prior is the belief."""
    n = len(counts)
    steps = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    belief = np.where(steps == 0, 0.0, NEAR**steps)
    belief = belief / belief.sum(axis=1, keepdims=True) * (1 - RIGHT) + np.eye(n) * RIGHT
    found = counts + BELIEF * belief
    return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)


def one_hot(rows: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    return np.asarray(rows[:, None] == np.arange(n)[None], dtype=np.float32)
