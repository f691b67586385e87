"""Teaches a judge what people said of tickets that rules had judged. Needs scikit-learn; serving does not."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.embedding.protocol import Vectors
from models.triage.fitting import head_of
from models.triage.judge import Judge, no_head, one_hot, shares_of
from models.triage.linear import Head, softmax

ENOUGH = 60
"""Labels below which no classifier is tried: held out, they could not tell it from chance."""

Rows: TypeAlias = NDArray[np.int64]


def teach(names: Sequence[str], verdicts: Sequence[str], said: Sequence[str], vectors: Vectors) -> Judge:
    """From what the rules and what people said of the same tickets; there may be none."""
    n = len(names)
    rows = np.array([names.index(each) for each in verdicts], dtype=np.int64)
    target = np.array([names.index(each) for each in said], dtype=np.int64)
    weight, head = 0.0, no_head(n)
    if len(target) >= ENOUGH and len(set(target.tolist())) > 1:
        weight = _weight(rows, target, vectors, n)
        head = _fit(rows, target, vectors, n) if weight else head
    return Judge(tuple(names), shares_of(_counts(rows, target, n)), head, weight, len(target))


def _counts(rows: Rows, target: Rows, n: int) -> NDArray[np.float64]:
    counts = np.zeros((n, n))
    np.add.at(counts, (rows, target), 1)
    return counts


def _weight(rows: Rows, target: Rows, vectors: Vectors, n: int) -> float:
    """The head's share under which held-out labels are likeliest; 0 where it is of no use."""
    fold = np.random.default_rng(0).permutation(len(target)) % 5
    chances = np.arange(5) / 5
    gain = np.zeros(len(chances))
    for k in range(5):
        train, held = fold != k, fold == k
        if len(np.unique(target[train])) < 2:
            return 0.0
        table = shares_of(_counts(rows[train], target[train], n))[rows[held]]
        head = _fit(rows[train], target[train], vectors[train], n)
        learnt = softmax(head.dense(_features(rows[held], vectors[held], n)))
        at = np.arange(int(held.sum())), target[held]
        gain += [np.log((1 - w) * table[at] + w * learnt[at]).sum() for w in chances]
    return float(chances[int(gain.argmax())])


def _fit(rows: Rows, target: Rows, vectors: Vectors, n: int) -> Head:
    return head_of(LogisticRegression(max_iter=300), _features(rows, vectors, n), target, np.arange(n))


def _features(rows: Rows, vectors: Vectors, n: int) -> NDArray[np.float32]:
    return np.concatenate([vectors, one_hot(rows, n)], axis=1)
