"""Learns from solved cases how much each way of voting counts against articles' own scores.

Each case is asked as if it were new, itself left out. The weights are those under which the right articles
are likeliest, the chance of an article being the softmax of its score (listwise: Cao et al. 2007, "Learning
to Rank"), and held near those in use. They are used only if, fitted to the older cases, they win on the newer
ones by a paired bootstrap (Efron & Tibshirani 1993).
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from models.retrieval.candidates import Candidate, lifted
from models.retrieval.cases import Votes, added
from models.retrieval.voters import VOTERS

Array: TypeAlias = NDArray[np.float64]

OLDER = 0.6
"""The share of the cases, the oldest, that vote and that weights are first fitted to."""
LEAST = 60
"""Cases below which nothing is learnt: the newer part would be too few to tell anything."""
RESAMPLES = 2_000
SURE = 0.9
AHEAD = 0.5
DEPTH = 10
LEAST_SCALE = 0.05
"""Articles' own scores always count a little, and votes are never held against an article."""
SPREAD = 4.0
"""How far weights may go from those in use before it has to show: by about as much as a usual one is."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A case asked as if it were new: its candidates before votes, the votes, and the right articles."""

    candidates: Sequence[Candidate]
    votes: Votes
    right: Collection[str]


@dataclass(frozen=True, slots=True)
class Learnt:
    """Weights by voter, whether they won on the newer cases, and their nDCG@10 with them and before."""

    weights: dict[str, float]
    won: bool
    figures: dict[str, float]


def learn(older: Sequence[Lesson], newer: Sequence[Lesson], weights: Mapping[str, float]) -> Learnt | None:
    """`weights` are those in use; `None` where lessons are too few.

    Only older cases may have voted in either: what is asked tomorrow finds no case of tomorrow. With cases of
    its own days beside it, a lesson makes votes look better than they are (0.53 for 0.51 nDCG@10 on Firefox's
    questions). What won on the newer lessons, fitted to the older, is fitted again to all of them.
    """
    if len(older) + len(newer) < LEAST or not newer:
        return None
    with_new, with_old = scores(newer, fit(older, weights)), scores(newer, weights)
    sure = confidence(with_new, with_old)
    figures = {
        "cases": float(len(newer)),
        "ndcg@10": round(float(with_new.mean()), 4),
        "ndcg@10_before": round(float(with_old.mean()), 4),
        "ndcg@10_articles_alone": round(float(scores(newer, {}).mean()), 4),
        "confidence": round(sure, 4),
    }
    chosen = {name: round(weight, 4) for name, weight in fit([*older, *newer], weights).items()}
    return Learnt(chosen, sure >= SURE, figures)


def judged(newer: Sequence[Lesson], lifts: Sequence[Mapping[str, float]], weight: float) -> Learnt:
    """Whether an affinity fitted to older cases, which lifts so, wins on newer ones beside their votes.

    It is held at plain likeness where cases say little, and won on all of four later slices of Firefox's
    questions, by .003 to .033: it has to be ahead, not to be sure, which 450 cases cannot be of .003.
    """
    new, old = (
        np.array(
            [
                ndcg(ranking(each.candidates, added(each.votes.lifts(each.votes.weights), more)), each.right)
                for each, more in zip(newer, several, strict=True)
            ]
        )
        for several in (lifts, [{}] * len(newer))
    )
    sure = confidence(new, old)
    figures = {
        "cases": float(len(newer)),
        "ndcg@10": round(float(new.mean()), 4),
        "ndcg@10_before": round(float(old.mean()), 4),
        "confidence": round(sure, 4),
    }
    return Learnt({"affinity": weight}, sure > AHEAD, figures)


def fit(lessons: Sequence[Lesson], weights: Mapping[str, float]) -> dict[str, float]:
    """The weights that make the right articles of these lessons likeliest, in deviations of fused scores."""
    tables = [table for each in lessons if (table := _table(each)) is not None]
    known = np.array([weights.get(name, 0.0) for name in VOTERS])
    if not tables:
        return dict(zip(VOTERS, known.tolist(), strict=True))
    start = np.concatenate([[1.0], known])
    start *= _scale(start, tables)
    spread = SPREAD * start[0]

    def penalised(theta: Array) -> tuple[float, Array]:
        loss, gradient = _loss(theta, tables)
        off = (theta - start) / spread
        return loss + 0.5 * float(off @ off), gradient + off / spread

    theta = _minimum(penalised, start, least=np.concatenate([[LEAST_SCALE], np.zeros(len(VOTERS))]))
    return dict(zip(VOTERS, (theta[1:] / theta[0]).tolist(), strict=True))


def _scale(direction: Array, tables: Sequence[tuple[Array, Array]]) -> float:
    """How sharp the chances are with the weights in use: one number, by which all are multiplied."""

    def along(factor: Array) -> tuple[float, Array]:
        loss, gradient = _loss(factor[0] * direction, tables)
        return loss, np.array([gradient @ direction])

    return float(_minimum(along, np.ones(1), LEAST_SCALE)[0])


def _table(lesson: Lesson) -> tuple[Array, Array] | None:
    """Of each candidate article, its score and its votes by voter, and whether it is right."""
    best: dict[str, float] = {}
    for each in lesson.candidates:
        best.setdefault(each.article_id, each.score)
    right = np.array([article in lesson.right for article in best], dtype=np.float64)
    if not right.any():
        return None
    nobody = np.zeros(len(VOTERS))
    votes = [lesson.votes.roots.get(article, nobody) for article in best]
    return np.column_stack([list(best.values()), votes]), right / right.sum()


Loss: TypeAlias = Callable[[Array], tuple[float, Array]]


def _loss(theta: Array, tables: Sequence[tuple[Array, Array]]) -> tuple[float, Array]:
    """How unlikely the right articles are, and the gradient."""
    loss, gradient = 0.0, np.zeros_like(theta)
    for features, right in tables:
        scores = features @ theta
        scores -= scores.max()
        chances = np.exp(scores)
        total = chances.sum()
        loss -= float(right @ scores) - math.log(total)
        gradient += features.T @ (chances / total - right)
    return loss, gradient


def _minimum(loss: Loss, start: Array, least: Array | float = -np.inf) -> Array:
    """Where `loss` is least, each coordinate at least as large as `least`."""
    bounds = Bounds(lb=np.broadcast_to(least, start.shape))
    found = minimize(loss, np.maximum(start, least), jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)


def scores(lessons: Sequence[Lesson], weights: Mapping[str, float]) -> Array:
    """Each lesson's nDCG@10 with votes of these weights."""
    return np.array(
        [ndcg(ranking(each.candidates, each.votes.lifts(weights)), each.right) for each in lessons]
    )


def ranking(candidates: Sequence[Candidate], lifts: Mapping[str, float]) -> list[str]:
    """The candidates' articles, best first, each once."""
    return list(dict.fromkeys(each.article_id for each in lifted(candidates, lifts)))


def ndcg(ranked: Sequence[str], right: Collection[str]) -> float:
    """With gains of 0 and 1 (Järvelin & Kekäläinen 2002)."""
    found = sum(1 / math.log2(i + 2) for i, each in enumerate(ranked[:DEPTH]) if each in right)
    best = sum(1 / math.log2(i + 2) for i in range(min(len(right), DEPTH)))
    return found / best if best else 0.0


def confidence(new: Array, old: Array) -> float:
    """In which share of paired resamples the new ones are better on average; 0 where all are the same."""
    difference = new - old
    if not difference.any():
        return 0.0
    drawn = np.random.default_rng(0).integers(len(difference), size=(RESAMPLES, len(difference)))
    return float((difference[drawn].mean(axis=1) > 0).mean())
