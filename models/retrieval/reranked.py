"""Puts passages in the order that a reranker makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.reranking.protocol import Reranker
from models.retrieval.fusion import raised
from models.retrieval.library import PassageLibrary
from models.retrieval.passages import Passage

TRAINED_DEPTH = 12
"""Passages that a trained cross-encoder reads: 10 ms each on a core."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """What a deviation of the reranker's scores lifts a passage by, and how many passages it is asked for.

    `signs_of` is the model by whose tokens' signs it knows them; empty where it reads their texts.
    """

    weight: float
    depth: int
    signs_of: str = ""

    async def ordered(
        self, query: str, passages: Sequence[Passage], reranker: Reranker, library: PassageLibrary
    ) -> list[Passage]:
        """The first `depth` in their new order, the others below them."""
        head, tail = passages[: self.depth], passages[self.depth :]
        signs = await self._signs(head, library)
        scores = await reranker.score(query, [p.embedded for p in head], signs)
        found = scored(head, raised([p.score for p in head], scores, self.weight))
        below = found[-1].score - (tail[0].score if tail else 0.0)
        return found + [replace(p, score=p.score + below) for p in tail]

    async def _signs(self, passages: Sequence[Passage], library: PassageLibrary) -> list[bytes]:
        """What the model read of them when they were indexed; empty where it did not."""
        if not self.signs_of:
            return []
        known = await library.signs([p.chunk_id for p in passages], self.signs_of)
        return [known.get(p.chunk_id, b"") for p in passages]


def scored(passages: Sequence[Passage], scores: NDArray[np.floating[Any]]) -> list[Passage]:
    """The passages with these scores, best first."""
    order = np.argsort(-scores, kind="stable")
    return [replace(passages[i], score=float(scores[i])) for i in order]
