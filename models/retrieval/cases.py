"""Solved cases as voters: the past questions nearest to a new one vote for the articles that answered them.

share(a) = Σᵢ k(sᵢ) · [i links a] / √|links of i|  /  (Σᵢ k(sᵢ) + doubt),   k(s) = exp((s - pivot) / width)

over the nearest cases i with cosine sᵢ: a kernel estimate (Nadaraya 1964, Watson 1964) of how often questions
like this one ended at article a. Many fairly similar questions say more than the one that is most similar: on
Firefox's questions a wide kernel over a hundred cases beats the usual few neighbours by 0.05 nDCG@10. `doubt`
keeps a handful of cases, or cases about something else, from deciding anything.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.retrieval.passages import Filters, PastCase
from models.retrieval.store import StoreUnavailable, VectorStore
from models.retrieval.trace import Trace

log = logging.getLogger(__name__)

PIVOT = 0.45
"""The cosine at which a case has weight 1; together with `doubt` it says what a lone case is worth."""


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

    `weight` is that of votes against articles' own scores, `rerank_weight` a trained reranker's share; `None`
    where nothing better than the profile's was learnt.
    """

    any: bool
    weight: float | None = None
    rerank_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Voting:
    """How cases vote; `RetrievalSettings` says what each of these means."""

    neighbours: int = 100
    width: float = 0.12
    doubt: float = 20.0
    weight: float = 8.0


@dataclass(frozen=True, slots=True)
class Votes:
    """The nearest cases first; each article's share of their votes, and what a full share lifts it by."""

    cases: tuple[PastCase, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    weight: float = 0.0

    def leaders(self, limit: int) -> list[str]:
        """The articles with most votes."""
        return sorted(self.shares, key=lambda article: -self.shares[article])[:limit]

    def lifts(self, weight: float | None = None) -> dict[str, float]:
        """In deviations of fused scores: `weight` times each share's root, as the first votes matter most."""
        full = self.weight if weight is None else weight
        return {article: full * math.sqrt(share) for article, share in self.shares.items()}


def shares(cases: Sequence[PastCase], voting: Voting) -> dict[str, float]:
    """Each article's share of the votes, in [0, 1)."""
    found: defaultdict[str, float] = defaultdict(float)
    total = voting.doubt
    for case in cases:
        weight = math.exp((case.similarity - PIVOT) / voting.width)
        total += weight
        for article in case.articles:
            found[article] += weight / math.sqrt(len(case.articles))
    return {article: votes / total for article, votes in found.items()}


class CaseMemory:
    """Without its store it is silent, and says so in the trace; the library's errors are the caller's."""

    def __init__(self, store: VectorStore, library: CaseLibrary, voting: Voting) -> None:
        self.store = store
        self.library = library
        self.voting = voting

    async def votes(
        self, vector: NDArray[np.float32], filters: Filters, trace: Trace, without: Collection[str] = ()
    ) -> Votes:
        """What cases say to this question; those in `without` are not asked."""
        standing = await self.library.standing()
        if not standing.any:
            return Votes()
        readers = Filters(audiences=filters.audiences)
        try:
            with trace.stage("cases"):
                limit = self.voting.neighbours + len(without)
                hits = await self.store.search_dense(vector, filters=readers, limit=limit)
        except StoreUnavailable as error:
            log.warning("searching without solved cases: %s", error)
            trace.degrade("cases")
            return Votes()
        near = {hit.chunk_id: hit.score for hit in hits if hit.chunk_id not in without}
        if not near:
            return Votes()
        with trace.stage("links"):
            linked = await self.library.links(list(near), filters)
        cases = tuple(PastCase(each, near[each], linked[each]) for each in near if each in linked)
        return Votes(
            cases,
            shares(cases, self.voting),
            self.voting.weight if standing.weight is None else standing.weight,
        )
