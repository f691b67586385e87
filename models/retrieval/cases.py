"""Solved cases as voters: the past questions nearest to a new one vote for the articles that answered them.

How they vote is arithmetic (`voters.py`), how much each way of voting counts is learnt (`learning.py`).
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.retrieval.affinity import Affinity
from models.retrieval.kept import KeptVectors, overlaps
from models.retrieval.passages import Filters, PastCase
from models.retrieval.store import ChunkVectors, Hit, SparseVector, StoreUnavailable, VectorStore
from models.retrieval.trace import Trace
from models.retrieval.voters import VOTERS, Array, Neighbours, Voting, roots

log = logging.getLogger(__name__)

KEPT_S = 60.0
"""How long a case's vectors are kept: those of somebody who was erased are out of memory within this."""


class CaseLibrary(Protocol):
    """The truth about cases, which the vector store only repeats."""

    async def links(self, case_ids: Sequence[str], filters: Filters) -> dict[str, tuple[str, ...]]:
        """What solved each of these cases, of what counts now and may be read; a case without is left out."""
        ...

    async def standing(self) -> "Standing":
        """What is known of cases as a whole."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether any case counts, and what was learnt from them.

    `weights` are those of the voters against articles' own scores, `rerank_weight` a trained reranker's
    share; `None` where nothing better than the profile's was learnt. `affinity` where one was learnt and won.
    """

    any: bool
    weights: Mapping[str, float] | None = None
    rerank_weight: float | None = None
    affinity: Affinity | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """The nearest cases first; for each article, the root of its share by each voter, and voters' weights.

    `learnt` is what an affinity lifts articles by, beside the votes.
    """

    cases: tuple[PastCase, ...] = ()
    roots: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    learnt: Mapping[str, float] = field(default_factory=dict)

    def leaders(self, limit: int) -> list[str]:
        """The articles with most votes."""
        lifts = self.lifts()
        return sorted(lifts, key=lambda article: -lifts[article])[:limit]

    def lifts(self, weights: Mapping[str, float] | None = None) -> dict[str, float]:
        """In deviations of fused scores: what each article's passages are lifted by.

        With `weights`, by votes of these weights alone.
        """
        chosen = self.weights if weights is None else weights
        counted = np.array([chosen.get(name, 0.0) for name in VOTERS])
        voted = (
            {article: float(counted @ roots) for article, roots in self.roots.items()}
            if counted.any()
            else {}
        )
        return voted if weights is not None else added(voted, self.learnt)


class CaseMemory:
    """Without its store it is silent, and says so in the trace; the library's errors are the caller's."""

    def __init__(self, store: VectorStore, library: CaseLibrary, voting: Voting) -> None:
        self.store = store
        self.vectors = KeptVectors(store, seconds=KEPT_S)
        self.library = library
        self.voting = voting

    async def close(self) -> None:
        self.vectors.forget()
        await self.store.close()

    async def weights(self) -> Mapping[str, float]:
        """Of each voter: what was learnt, or else the profile's."""
        learnt = (await self.library.standing()).weights
        return self.voting.weights if learnt is None else learnt

    async def votes(
        self,
        vector: NDArray[np.float32],
        terms: SparseVector,
        filters: Filters,
        trace: Trace,
        without: Collection[str] = (),
    ) -> Votes:
        """What cases say to this question of these words; those in `without` are not asked."""
        if not (await self.library.standing()).any:
            return Votes()
        readers = Filters(audiences=filters.audiences)
        try:
            with trace.stage("cases"):
                limit = self.voting.neighbours + len(without)
                hits = await self.store.search_dense(vector, filters=readers, limit=limit)
                vectors = await self.vectors.of(hits, vector)
        except StoreUnavailable as error:
            log.warning("searching without solved cases: %s", error)
            trace.degrade("cases")
            return Votes()
        near = [hit for hit in hits if hit.chunk_id in vectors and hit.chunk_id not in without]
        if not near:
            return Votes()
        with trace.stage("links"):
            linked = await self.library.links([hit.chunk_id for hit in near], filters)
        near = [hit for hit in near if hit.chunk_id in linked]
        if not near:
            return Votes()
        cases = tuple(PastCase(hit.chunk_id, hit.score, linked[hit.chunk_id]) for hit in near)
        counted = roots(_neighbours(near, vectors, linked, terms), self.voting)
        standing = await self.library.standing()
        learnt = standing.affinity.lifts(vector, self.voting.affinity) if standing.affinity else {}
        return Votes(cases, counted, await self.weights(), learnt)


def added(some: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Lifts by both; who is in neither is lifted by nothing."""
    return {article: some.get(article, 0.0) + more.get(article, 0.0) for article in some.keys() | more.keys()}


def _neighbours(
    near: Sequence[Hit],
    vectors: Mapping[str, ChunkVectors],
    linked: Mapping[str, tuple[str, ...]],
    terms: SparseVector,
) -> Neighbours:
    mass = sum(terms.values()) or 1.0
    chunks = [vectors[hit.chunk_id] for hit in near]
    return Neighbours(
        similarities=np.array([hit.score for hit in near]),
        words=overlaps(terms, chunks) / mass,
        vectors=np.stack([chunk.dense for chunk in chunks]),
        links=[linked[hit.chunk_id] for hit in near],
    )
