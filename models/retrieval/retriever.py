"""Finds the passages that answer a question: hybrid search, fused, reranked, spread over articles."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from models.embedding.protocol import Embedder, Vectors
from models.reranking.protocol import Reranker
from models.retrieval import bm25, question
from models.retrieval.candidates import Candidate, lifted, merged, ranked
from models.retrieval.cases import CaseMemory, Votes
from models.retrieval.duplicates import folded
from models.retrieval.fusion import spread
from models.retrieval.kept import KeptVectors
from models.retrieval.library import PassageLibrary
from models.retrieval.passages import Filters, Passage, Retrieval
from models.retrieval.question import Read, Vector
from models.retrieval.reranked import TRAINED_DEPTH, Reranking, scored
from models.retrieval.settings import RetrieverSettings
from models.retrieval.store import Hit, SparseVector, StoreUnavailable, VectorStore
from models.retrieval.trace import Trace
from monitoring import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")
LED = 10
"""Articles with most votes, whose best passage is looked for although no search came upon it."""
FOLDED = 5
"""Candidates fetched beyond those that are wanted, for copies of others and what went meanwhile."""
LED_PASSAGES = 8
"""Asked for at once for each of them; an article that is left out is asked for again."""
KEYWORD_PASSAGES = 12
"""What a search by keywords embeds to put it in order, 17 ms each on a core."""
ENOUGH_WORDS = 0.5
"""Share of a question's weight in words that the best passage must have where no cosine is to be had."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a question's terms weigh: those that some passage has, and all of them."""

    terms: SparseVector
    weights: SparseVector

    @property
    def mass(self) -> float:
        return sum(self.weights.values())


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the searches found, best first, and what cases say; `None` where a search could not be had."""

    vector: Vector | None
    ranked: list[Candidate] | None
    votes: Votes = field(default_factory=Votes)


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first, the best cosine among them, and whether it is enough to answer from."""

    passages: list[Passage]
    relevance: float
    enough: bool


class Retriever:
    """Every part but the library may fail: what is left still answers, and says what was missing."""

    def __init__(
        self,
        *,
        embedder: Embedder,
        store: VectorStore,
        library: PassageLibrary,
        reranker: Reranker | None,
        settings: RetrieverSettings,
        cases: CaseMemory | None = None,
    ) -> None:
        self.embedder = embedder
        self.store = store
        self.vectors = KeptVectors(store)
        self.library = library
        self.reranker = reranker
        self.settings = settings
        self.cases = cases

    async def retrieve(
        self,
        query: str,
        *,
        filters: Filters | Awaitable[Filters],
        top_k: int | None = None,
        rerank: bool = True,
        without_cases: Collection[str] = (),
        observe: Callable[[Candidates], None] | None = None,
    ) -> Retrieval:
        """The best `top_k` passages that `filters` let through; the library's errors are the caller's.

        Filters that are still being asked for are waited for when the question has been read.
        Cases in `without_cases` do not vote: a question that became one must not find itself. `observe` is
        shown the candidates before cases and reranker had their say: for evaluation and learning.
        """
        trace, limit = Trace(), top_k or self.settings.top_k
        with trace.stage("total"):
            told = asyncio.ensure_future(_given(filters) if isinstance(filters, Filters) else filters)
            searched = await self._search(query, told, trace, without_cases)
            filters = await told
            if observe:
                observe(searched)
            if searched.ranked is None:
                found = await self._by_keywords(query, searched.vector, filters, limit, trace)
            else:
                asked = rerank and self.settings.rerank and self.reranker is not None
                reranking = await self._reranking() if asked else None
                wanted = max(limit, reranking.depth) if reranking else limit
                in_order = lifted(searched.ranked, searched.votes.lifts())
                found = await self._fetched(in_order, filters, wanted, trace)
                if self.reranker and reranking and len(found.passages) > 1:
                    found = await self._reranked(self.reranker, reranking, query, found, trace)
        metrics.RETRIEVAL_SCORE.observe(found.relevance)
        return Retrieval(
            passages=tuple(found.passages[:limit]),
            relevance=round(found.relevance, 4),
            found=found.enough,
            degraded=tuple(trace.degraded),
            latency_ms=trace.latency_ms,
            cases=searched.votes.cases,
        )

    async def close(self) -> None:
        self.vectors.forget()
        await self.store.close()
        if self.cases:
            await self.cases.close()

    async def _search(
        self, query: str, told: Awaitable[Filters], trace: Trace, without_cases: Collection[str]
    ) -> Candidates:
        words = bm25.query_terms(query)
        asked = asyncio.ensure_future(self._statistics(words))
        (vector, dense, votes), sparse, known = await asyncio.gather(
            self._dense(query, asked, told, trace, without_cases),
            self._sparse(asked, told, trace),
            asked,
        )
        filters = await told
        if vector is None or dense is None or sparse is None:
            return Candidates(vector, None, votes)
        dense += await self._led(vector, {hit.article_id for hit in (*dense, *sparse)}, votes, filters, trace)
        try:
            with trace.stage("vectors"):
                vectors = await self.vectors.of(dense, vector, sparse, known.terms)
        except StoreUnavailable as error:
            self._without_store(error, trace)
            return Candidates(vector, None, votes)
        candidates = merged(dense, sparse, vectors, vector, known.terms)
        return Candidates(vector, ranked(candidates, self.settings.weights, mass=known.mass), votes)

    async def _statistics(self, words: Counter[int]) -> Words:
        statistics = await self.library.statistics(list(words))
        return Words(bm25.query_vector(words, statistics), bm25.query_weights(words, statistics))

    async def _dense(
        self,
        query: str,
        words: Awaitable[Words],
        told: Awaitable[Filters],
        trace: Trace,
        without_cases: Collection[str],
    ) -> tuple[Vector | None, list[Hit] | None, Votes]:
        read, filters = await asyncio.gather(self._question(query, trace), told)
        if read is None:
            return None, None, Votes()
        vector = read.passages
        nearest = self._nearest(vector, filters, self.settings.candidates, trace)
        if self.cases is None or not any(self.settings.case_weights.values()):
            return vector, await nearest, Votes()
        weights = (await words).weights
        hits, votes = await asyncio.gather(
            nearest, self.cases.votes(read.questions, weights, filters, trace, without_cases)
        )
        return vector, hits, votes

    async def _nearest(
        self, vector: Vector, filters: Filters, limit: int, trace: Trace, stage: str = "search"
    ) -> list[Hit] | None:
        try:
            with trace.stage(stage):
                return await self.store.search_dense(vector, filters=filters, limit=limit)
        except StoreUnavailable as error:
            self._without_store(error, trace)
            return None

    async def _led(
        self, vector: Vector, known: Collection[str], votes: Votes, filters: Filters, trace: Trace
    ) -> list[Hit]:
        """The best passage of each article that only cases led to.

        One of each: the rest of them among the candidates costs 0.008 nDCG@10 on Firefox's cases.
        """
        wanted = frozenset(votes.leaders(LED)) - frozenset(known)
        if filters.articles:
            wanted &= filters.articles
        best: dict[str, Hit] = {}
        while missing := wanted - best.keys():
            own, limit = replace(filters, articles=missing), LED_PASSAGES * len(missing)
            hits = await self._nearest(vector, own, limit, trace, "led")
            if not hits:
                break
            for hit in hits:
                best.setdefault(hit.article_id, hit)
        return list(best.values())

    async def _sparse(
        self, words: Awaitable[Words], told: Awaitable[Filters], trace: Trace
    ) -> list[Hit] | None:
        terms, filters, limit = (await words).terms, await told, self.settings.candidates
        try:
            with trace.stage("search"):
                hits = await self.store.search_sparse(terms, filters=filters, limit=limit)
                await self.vectors.learn([hit.chunk_id for hit in hits])  # the question is still embedded
                return hits
        except StoreUnavailable as error:
            self._without_store(error, trace)
            return None

    def _without_store(self, error: StoreUnavailable, trace: Trace) -> None:
        log.warning("searching by keywords: %s", error)
        trace.degrade(self.store.name)

    async def _question(self, query: str, trace: Trace) -> Read | None:
        weight = self.settings.first_line_weight
        return await self._read(question.read(query, self.embedder, first_line=weight), trace)

    async def _embedded(self, texts: Sequence[str], trace: Trace) -> Vectors | None:
        return await self._read(self.embedder.embed(texts), trace)

    async def _read(self, embedding: Awaitable[T], trace: Trace) -> T | None:
        try:
            with trace.stage("embed"):
                async with asyncio.timeout(self.settings.timeout_s):
                    return await embedding
        except Exception as error:  # behind a deployment handle, anything can come back
            log.warning("searching without the embedder: %s", error or type(error).__name__)
            trace.degrade("embedder")
            return None

    async def _fetched(
        self, candidates: Sequence[Candidate], filters: Filters, wanted: int, trace: Trace
    ) -> Found:
        """The texts of the best candidates. The library has the last word on what may be seen."""
        order = spread(range(len(candidates)), [c.article_id for c in candidates], self.settings.per_article)
        passages: list[Passage] = []
        relevance = 0.0
        with trace.stage("fetch"):
            for start in range(0, len(order), page := wanted + FOLDED):
                some = [candidates[i] for i in order[start : start + page]]
                texts = await self.library.fetch([c.chunk_id for c in some], filters)
                visible = [c for c in some if c.chunk_id in texts]
                passages = folded([*passages, *(replace(texts[c.chunk_id], score=c.score) for c in visible)])
                relevance = max(relevance, *(c.cosine for c in visible), 0.0)
                if len(passages) >= wanted:
                    break
        return Found(passages[:wanted], relevance, relevance >= self.settings.min_relevance)

    async def _reranking(self) -> Reranking | None:
        """A trained reranker's, where one answers; else the profile's; `None` where it has no weight."""
        settings = self.settings
        learnt = (await self.cases.library.standing()).rerank_weight if self.cases else None
        if learnt is not None:
            return Reranking(learnt, TRAINED_DEPTH)
        if not settings.rerank_weight:
            return None
        return Reranking(settings.rerank_weight, settings.rerank_depth, settings.signs_of)

    async def _reranked(
        self, reranker: Reranker, reranking: Reranking, query: str, found: Found, trace: Trace
    ) -> Found:
        try:
            with trace.stage("rerank"):
                async with asyncio.timeout(self.settings.timeout_s):
                    passages = await reranking.ordered(query, found.passages, reranker, self.library)
        except Exception as error:  # as above
            log.warning("leaving the fused order: %s", error or type(error).__name__)
            trace.degrade("reranker")
            return found
        return replace(found, passages=passages)

    async def _by_keywords(
        self, query: str, vector: Vector | None, filters: Filters, limit: int, trace: Trace
    ) -> Found:
        """What PostgreSQL finds, ordered by cosine where the embedder answers."""
        with trace.stage("search"):
            wanted = max(limit, KEYWORD_PASSAGES)
            passages = await self.library.search_keywords(query, filters, wanted)
        order = spread(range(len(passages)), [p.article_id for p in passages], self.settings.per_article)
        passages = folded([passages[i] for i in order])
        if vector is not None and passages:
            vectors = await self._embedded([p.embedded for p in passages], trace)
            if vectors is not None:
                cosines = vectors @ vector
                relevance = float(cosines.max())
                return Found(scored(passages, cosines), relevance, relevance >= self.settings.min_relevance)
        return Found(passages, 0.0, await self._shares_words(query, passages))

    async def _shares_words(self, query: str, passages: Sequence[Passage]) -> bool:
        words = bm25.query_terms(query)
        statistics = await self.library.statistics(list(words))
        return any(bm25.coverage(words, p.embedded, statistics) >= ENOUGH_WORDS for p in passages)


async def _given(filters: Filters) -> Filters:
    return filters
