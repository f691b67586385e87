"""How the solved cases nearest to a question vote for the articles that solved them, by several counts.

Each voter gives every neighbour i a weight aᵢ; an article's share is Σᵢ aᵢ · [i links a] / √|links of i|, and
its root is what counts, as the first votes matter most.

- `wide`, `near`: kernel estimates (Nadaraya 1964, Watson 1964), aᵢ = k(sᵢ) / (Σⱼ k(sⱼ) + doubt) with
  k(s) = exp((s - pivot) / width), of how often questions like this one ended at article a. `doubt` keeps a
  handful of cases, or cases about something else, from deciding anything.
- `words`: the same kernel over the share of the question's words, by weight, that a case has.
- `ridge`: a ridge regression of what solved a case on its vector, fitted to the neighbours alone (local
  regression, Cleveland 1979) in its dual form a = (K + λI)⁻¹ k: cases that repeat each other share one vote,
  and an article is also voted down. It is solved anew for every question, so that a link which was revoked a
  moment ago has no vote in it either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

PIVOT = 0.45
"""The cosine at which a case has weight 1; together with `doubt` it says what a lone case is worth."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest cases: cosine to the question, share of its words, own vector, and what solved each."""

    similarities: Array
    words: Array
    vectors: NDArray[np.float32]
    links: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Voting:
    """How cases vote; `RetrievalSettings` says what each of these means."""

    neighbours: int = 100
    width: float = 0.12
    doubt: float = 20.0
    weights: Mapping[str, float] = field(default_factory=lambda: {"wide": 5.0, "ridge": 5.0})
    affinity: float = 1.0


def kernel(scores: Array, pivot: float, width: float, doubt: float) -> Array:
    weights = np.exp((scores - pivot) / width)
    return np.asarray(weights / (weights.sum() + doubt), dtype=np.float64)


def ridge(near: Neighbours, penalty: float) -> Array:
    gram = (near.vectors @ near.vectors.T).astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(np.linalg.solve(gram, near.similarities), dtype=np.float64)


VOTERS: Mapping[str, Callable[[Neighbours, Voting], Array]] = {
    "wide": lambda near, how: kernel(near.similarities, PIVOT, how.width, how.doubt),
    "near": lambda near, how: kernel(near.similarities, PIVOT, 0.05, 3.0),
    "words": lambda near, how: kernel(near.words, 0.25, 0.12, how.doubt),
    "ridge": lambda near, how: ridge(near, 3.0),
}


def roots(near: Neighbours, voting: Voting) -> dict[str, Array]:
    """For each article that a neighbour links, the root of its share by each of `VOTERS`."""
    weights = np.stack([voter(near, voting) for voter in VOTERS.values()], axis=1)
    found: dict[str, Array] = {}
    for weight, linked in zip(weights, near.links, strict=True):
        for article in linked:
            share = weight / np.sqrt(len(linked))
            found[article] = found[article] + share if article in found else share
    return {article: np.sqrt(np.maximum(share, 0.0)) for article, share in found.items()}
