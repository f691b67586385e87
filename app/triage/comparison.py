"""Whether one version is really better than another: a paired test on the same tickets."""

from collections.abc import Sequence
from math import comb
from uuid import UUID

from app.triage.schemas import Comparison


def compare(truth: Sequence[str], one: Sequence[str], other: Sequence[str], *, against: UUID) -> Comparison:
    """`one` against `other`, whose labels stand in the same order as the true ones; there is at least one."""
    right = [label == said for label, said in zip(truth, one, strict=True)]
    right_against = [label == said for label, said in zip(truth, other, strict=True)]
    wins = sum(a and not b for a, b in zip(right, right_against, strict=True))
    losses = sum(b and not a for a, b in zip(right, right_against, strict=True))
    return Comparison(
        against=against,
        size=len(truth),
        accuracy=sum(right) / len(truth),
        accuracy_against=sum(right_against) / len(truth),
        wins=wins,
        losses=losses,
        p=mcnemar(wins, losses),
    )


def mcnemar(wins: int, losses: int) -> float:
    """P(at least so many wins among wins + losses) if each were a fair coin (McNemar, 1947; exact)."""
    n = wins + losses
    return float(sum(comb(n, k) for k in range(wins, n + 1)) / 2**n)
