"""How good a ranking is, given which documents were judged relevant (Järvelin & Kekäläinen 2002 for nDCG)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEPTH = 10


@dataclass(frozen=True, slots=True)
class Figures:
    ndcg: float
    hit: float
    mrr: float

    @classmethod
    def of(cls, ranked: Sequence[str], gains: Mapping[str, int], depth: int = DEPTH) -> "Figures":
        """One query's figures; what was not judged counts as irrelevant."""
        found = [gains.get(document, 0) for document in ranked[:depth]]
        best = sorted(gains.values(), reverse=True)[:depth]
        first = next((1 / rank for rank, gain in enumerate(found, start=1) if gain > 0), 0.0)
        return cls(_dcg(found) / _dcg(best), float(first > 0), first)


def mean(figures: Sequence[Figures]) -> Figures:
    count = len(figures)
    return Figures(
        sum(each.ndcg for each in figures) / count,
        sum(each.hit for each in figures) / count,
        sum(each.mrr for each in figures) / count,
    )


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
