"""The quality gate: a new index version must answer stored questions no worse than the one it replaces.

Both answer the same questions through the production retriever. The difference in nDCG@10, question by
question, is resampled (paired bootstrap: Sakai 2006, "Evaluating evaluation metrics based on the bootstrap");
the version passes where the lower end of the 95 % interval is above -`MARGIN`, and that of dense search alone
above -`DENSE_MARGIN`: keywords hide a bad embedder, until a question comes in other words. What people asked
and what solved it is asked as well, by articles alone: cases have no vote here. Without enough of both,
articles are asked for by their titles.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app import db
from app.auth.readers import AUDIENCES
from app.cases import service as cases
from app.knowledge import versions
from app.knowledge.library import PostgresLibrary
from app.knowledge.schemas import Index
from app.knowledge.stores import open_store, retriever_settings
from config.environment import Environment
from config.profile import Profile
from models.embedding.local import LocalEmbedder
from models.retrieval.passages import Filters
from models.retrieval.retriever import Retriever
from pipelines.evaluation.ranking import DEPTH, Figures
from pipelines.indexing.run import Settings

MARGIN = 0.02
DENSE_MARGIN = 0.05
ENOUGH = 50
"""Stored questions and solved cases from which they alone count."""
AT_LEAST = 10
AT_MOST = 500
RESAMPLES = 5_000
EVERYTHING = Filters(audiences=AUDIENCES["admin"])

Question = tuple[str, list[UUID]]
Scores = Sequence[tuple[float, float]]
"""nDCG@10 of each question: of the whole retriever, and by cosine alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """nDCG@10 of both versions; `low` and `high` bound the difference, candidate less live.

    `dense_low` is the lower end for dense search alone. Of the questions, `stored` were stored for the gate,
    and `solved` are cases.
    """

    questions: int
    stored: int
    live: float
    candidate: float
    low: float
    high: float
    dense_low: float
    passed: bool
    solved: int = 0

    def as_json(self) -> dict[str, Any]:
        figures = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return figures | {"margin": MARGIN, "metric": "ndcg@10"}


async def judge(
    pool: db.Pool, profile: Profile, environment: Environment, candidate: Index, live: Index | None
) -> Verdict:
    """A first index has nothing to be worse than, and passes."""
    if live is None or live.name == candidate.name:
        return Verdict(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, True)
    async with pool.acquire(timeout=5) as conn:
        stored = (await versions.questions(conn))[-AT_MOST:]
        known = await cases.confirmed(conn, AT_MOST - len(stored)) if len(stored) < AT_MOST else []
        solved = [(each.question, list(each.articles)) for each in known]
        enough = len(stored) + len(solved) >= ENOUGH
        titles = [] if enough else await versions.titles(conn, AT_MOST // 2)
    asked = [*stored, *solved, *titles]
    old, new = [await _scores(pool, profile, environment, index, asked) for index in (live, candidate)]
    return replace(verdict(old, new, stored=len(stored)), solved=len(solved))


def verdict(old: Scores, new: Scores, *, stored: int) -> Verdict:
    """By question, in the same order. Fewer than `AT_LEAST` questions prove nothing: it does not pass."""
    if len(old) < AT_LEAST:
        return Verdict(len(old), stored, 0.0, 0.0, -1.0, 1.0, -1.0, False)
    before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    (low, high), (dense_low, _) = (interval(after[:, column] - before[:, column]) for column in (0, 1))
    means = float(before[:, 0].mean()), float(after[:, 0].mean())
    passed = low >= -MARGIN and dense_low >= -DENSE_MARGIN
    return Verdict(len(old), stored, *means, low, high, dense_low, passed)


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of their mean; the same for the same differences."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.percentile(differences[picked].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


async def _scores(
    pool: db.Pool, profile: Profile, environment: Environment, index: Index, asked: Sequence[Question]
) -> list[tuple[float, float]]:
    chosen = profile.retrieval
    settings = replace(retriever_settings(profile), per_article=1)
    embedder = LocalEmbedder(Settings.of_index(index, profile, environment).embedder.open())
    store = open_store(chosen, environment, index.name)
    retrievers = [
        Retriever(
            embedder=embedder,
            store=store,
            library=PostgresLibrary(pool, index.name),
            reranker=None,
            settings=each,
        )
        for each in (settings, replace(settings, dense_weight=1.0, coverage_weight=0.0))
    ]

    async def score(retriever: Retriever, question: str, articles: list[UUID]) -> float:
        found = await retriever.retrieve(question, filters=EVERYTHING, top_k=DEPTH, rerank=False)
        gains = {str(article): 1 for article in articles}
        return Figures.of([passage.article_id for passage in found.passages], gains).ndcg

    try:
        whole, dense = retrievers
        return [(await score(whole, *question), await score(dense, *question)) for question in asked]
    finally:
        embedder.close()
        await store.close()
