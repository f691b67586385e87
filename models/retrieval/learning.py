"""Learns from solved cases how much their votes count against articles' own scores.

Each case is asked as if it were new, itself left out. A weight is chosen on the older of them, and used only
if it beats the one in use on the newer ones, by a paired bootstrap (Efron & Tibshirani 1993).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.retrieval.candidates import Candidate, lifted
from models.retrieval.cases import Votes

WEIGHTS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)
OLDER = 0.6
"""The share of the cases, the oldest, that a weight is chosen on."""
LEAST = 60
"""Cases below which nothing is learnt: the newer part would be too few to tell anything."""
RESAMPLES = 2_000
SURE = 0.9
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Lesson:
    """A case asked as if it were new: its candidates before votes, the votes, and the right articles."""

    candidates: Sequence[Candidate]
    votes: Votes
    right: Collection[str]


@dataclass(frozen=True, slots=True)
class Learnt:
    """The chosen weight, whether it won on the newer cases, and their nDCG@10 with it and before."""

    weight: float
    won: bool
    figures: dict[str, float]


def learn(lessons: Sequence[Lesson], weight: float) -> Learnt | None:
    """Lessons from oldest to newest, `weight` the one in use; `None` where they are too few."""
    if len(lessons) < LEAST:
        return None
    older, newer = lessons[: int(OLDER * len(lessons))], lessons[int(OLDER * len(lessons)) :]
    chosen = max(WEIGHTS, key=lambda each: float(scores(older, each).mean()))
    with_new, with_old = scores(newer, chosen), scores(newer, weight)
    sure = confidence(with_new, with_old)
    figures = {
        "cases": float(len(newer)),
        "ndcg@10": round(float(with_new.mean()), 4),
        "ndcg@10_before": round(float(with_old.mean()), 4),
        "ndcg@10_articles_alone": round(float(scores(newer, 0.0).mean()), 4),
        "confidence": round(sure, 4),
    }
    return Learnt(chosen, sure >= SURE, figures)


def scores(lessons: Sequence[Lesson], weight: float) -> NDArray[np.float64]:
    """Each lesson's nDCG@10 with votes of that weight."""
    return np.array(
        [ndcg(ranking(each.candidates, each.votes.lifts(weight)), each.right) for each in lessons]
    )


def ranking(candidates: Sequence[Candidate], lifts: Mapping[str, float]) -> list[str]:
    """The candidates' articles, best first, each once."""
    return list(dict.fromkeys(each.article_id for each in lifted(candidates, lifts)))


def ndcg(ranked: Sequence[str], right: Collection[str]) -> float:
    """With gains of 0 and 1 (Järvelin & Kekäläinen 2002)."""
    found = sum(1 / math.log2(i + 2) for i, each in enumerate(ranked[:DEPTH]) if each in right)
    best = sum(1 / math.log2(i + 2) for i in range(min(len(right), DEPTH)))
    return found / best if best else 0.0


def confidence(new: NDArray[np.float64], old: NDArray[np.float64]) -> float:
    """In which share of paired resamples the new ones are better on average; 0 where all are the same."""
    difference = new - old
    if not difference.any():
        return 0.0
    drawn = np.random.default_rng(0).integers(len(difference), size=(RESAMPLES, len(difference)))
    return float((difference[drawn].mean(axis=1) > 0).mean())
