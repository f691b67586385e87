"""What each stage of a retrieval is worth: the same question judged after every one of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.retrieval.candidates import Candidate
from models.retrieval.learning import ranking
from models.retrieval.retriever import Candidates
from pipelines.evaluation.ranking import Figures, mean

RESAMPLES = 2_000
INTERVAL = (2.5, 97.5)


def rankings(found: Candidates) -> dict[str, list[str]]:
    """Articles, best first, by the vectors alone, the words alone, both, and both with cases.

    `with_votes` is before what was learnt from cases, where anything was.
    """
    candidates = found.ranked or []
    orders: dict[str, list[str]] = {
        "dense": _by(candidates, lambda each: each.cosine),
        "sparse": _by([each for each in candidates if each.keyword > 0], lambda each: each.keyword),
        "fused": ranking(candidates, {}),
    }
    if found.votes.learnt:
        orders["with_votes"] = ranking(candidates, found.votes.lifts(found.votes.weights))
    if found.votes.roots:
        orders["with_cases"] = ranking(candidates, found.votes.lifts())
    return orders


def _by(candidates: Sequence[Candidate], score: Callable[[Candidate], float]) -> list[str]:
    return list(dict.fromkeys(each.article_id for each in sorted(candidates, key=lambda each: -score(each))))


def summary(figures: Sequence[Figures]) -> dict[str, Any]:
    """Means, and the 95 % interval of nDCG@10 by bootstrap over the queries (Efron & Tibshirani 1993)."""
    whole = mean(figures)
    low, high = interval([each.ndcg for each in figures])
    return {
        "ndcg@10": round(whole.ndcg, 4),
        "ndcg@10_low": round(low, 4),
        "ndcg@10_high": round(high, 4),
        "hit@10": round(whole.hit, 4),
        "mrr@10": round(whole.mrr, 4),
    }


def interval(values: Sequence[float]) -> tuple[float, float]:
    array = np.asarray(values)
    drawn = np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), INTERVAL)
    return float(low), float(high)


def plot(stages: Mapping[str, Mapping[str, float]], title: str, file: Path) -> None:
    """A bar for each stage's nDCG@10, with its interval."""
    from matplotlib.figure import Figure  # half a second that an evaluation without a plot does without

    names = list(stages)
    heights = [stages[name]["ndcg@10"] for name in names]
    errors = [
        [stages[name]["ndcg@10"] - stages[name]["ndcg@10_low"] for name in names],
        [stages[name]["ndcg@10_high"] - stages[name]["ndcg@10"] for name in names],
    ]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar([name.replace("_", " ") for name in names], heights, yerr=errors, capsize=4)
    axes.bar_label(bars, [f"{height:.3f}" for height in heights], label_type="center", color="white")
    axes.set_ylabel("nDCG@10, 95 % interval")
    axes.set_title(title)
    figure.savefig(file)
