"""From solved cases to a reranker: what it learns from, and whether it is any better on newer cases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.cases.schemas import Confirmed
from models.reranking.local import Model
from models.reranking.training import Group, Report
from models.retrieval.candidates import lifted
from models.retrieval.fusion import raised, spread
from models.retrieval.learning import SURE, confidence, ndcg
from models.retrieval.passages import Filters, Passage
from models.retrieval.reranked import TRAINED_DEPTH
from models.retrieval.retriever import Candidates, Retriever

DEPTH = 20
"""Passages of a case that are looked at, one of each article."""
OLDER, MIDDLE = 0.6, 0.8
"""Trained on the oldest cases, its weight chosen on those that follow, judged on the newest."""
WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Of a deviation of its scores, in deviations of the fused score."""
EVERYBODY = Filters(audiences=frozenset({"public"}))
"""What is learnt orders everybody's results: it is learnt from what everybody may read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A case asked as if it were new: the passages found, best first, and which articles solved it.

    `right_passages` are the best ones of those articles, also where the search did not come upon them.
    """

    question: str
    right: frozenset[str]
    passages: tuple[Passage, ...]
    right_passages: tuple[Passage, ...]

    @property
    def group(self) -> Group:
        wrong = tuple(each.embedded for each in self.passages if each.article_id not in self.right)
        return Group(self.question, tuple(each.embedded for each in self.right_passages), wrong)


@dataclass(frozen=True, slots=True)
class Judgement:
    """nDCG@10 on the newest cases with the chosen weight and without a reranker."""

    weight: float
    cases: int
    with_it: float
    without: float
    confidence: float

    @property
    def won(self) -> bool:
        return self.with_it > self.without and self.confidence >= SURE


async def asked(retriever: Retriever, cases: Sequence[Confirmed], report: Report) -> list[Asked]:
    """Every case, oldest first, without its own vote."""
    found = []
    for number, case in enumerate(cases, start=1):
        right = frozenset(map(str, case.articles))
        if one := await _asked(retriever, case.id, case.question, right):
            found.append(one)
        report(f"{number:,} of {len(cases):,} cases asked")
    return found


async def _asked(retriever: Retriever, case_id: UUID, question: str, right: frozenset[str]) -> Asked | None:
    seen: list[Candidates] = []
    await retriever.retrieve(
        question, filters=EVERYBODY, rerank=False, without_cases=[str(case_id)], observe=seen.append
    )
    if not seen or seen[0].ranked is None or seen[0].vector is None:
        return None
    order = lifted(seen[0].ranked, seen[0].votes.lifts())
    order = [order[i] for i in spread(range(len(order)), [each.article_id for each in order], 1)][:DEPTH]
    texts = await retriever.library.fetch([each.chunk_id for each in order], EVERYBODY)
    passages = [replace(texts[each.chunk_id], score=each.score) for each in order if each.chunk_id in texts]
    there = [each for each in passages if each.article_id in right]
    missing = right - {each.article_id for each in there}
    return Asked(
        question, right, tuple(passages), (*there, *await _best_of(retriever, seen[0].vector, missing))
    )


async def _best_of(
    retriever: Retriever, vector: NDArray[np.float32], articles: Collection[str]
) -> list[Passage]:
    """The nearest passage of each of these articles."""
    found = []
    for article in articles:
        only = Filters(audiences=EVERYBODY.audiences, articles=frozenset({article}))
        hits = await retriever.store.search_dense(vector, filters=only, limit=1)
        texts = await retriever.library.fetch([hit.chunk_id for hit in hits], only)
        found += list(texts.values())
    return found


def judge(model: Model, middle: Sequence[Asked], newest: Sequence[Asked], report: Report) -> Judgement:
    """Choose a weight on the middle slice, and compare on the newest, case by case."""
    known, unknown = [_scores(model, each, report) for each in (middle, newest)]
    weight = max(WEIGHTS, key=lambda each: float(_ndcg(middle, known, each).mean()))
    new, old = _ndcg(newest, unknown, weight), _ndcg(newest, unknown, 0.0)
    return Judgement(weight, len(newest), float(new.mean()), float(old.mean()), confidence(new, old))


def _scores(model: Model, cases: Sequence[Asked], report: Report) -> list[NDArray[np.float64]]:
    found = []
    for number, case in enumerate(cases, start=1):
        texts = [each.embedded for each in case.passages[:TRAINED_DEPTH]]
        found.append(model.score(case.question, texts).astype(np.float64))
        report(f"{number:,} of {len(cases):,} cases reranked")
    return found


def _ndcg(
    cases: Sequence[Asked], scores: Sequence[NDArray[np.float64]], weight: float
) -> NDArray[np.float64]:
    return np.array([ndcg(_order(*each, weight), each[0].right) for each in zip(cases, scores, strict=True)])


def _order(case: Asked, scores: NDArray[np.float64], weight: float) -> list[str]:
    """As the retriever does: what is reranked in its new order, the rest below."""
    head, tail = case.passages[:TRAINED_DEPTH], case.passages[TRAINED_DEPTH:]
    mixed = raised([each.score for each in head], scores, weight)
    return [head[i].article_id for i in np.argsort(-mixed, kind="stable")] + [e.article_id for e in tail]
