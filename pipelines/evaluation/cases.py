"""Fills an evaluation's stores with solved cases, and learns from them as the service does."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app import db
from app.cases import affinities, jobs, service
from app.cases.affinities import NEWEST
from app.cases.jobs import Shelf
from app.cases.renewing import ground
from app.cases.schemas import Confirmed, Imported
from app.knowledge.indexing import article_id
from models.retrieval.affinity import Affinity
from models.retrieval.learning import LEAST, OLDER, Learnt, Lesson, judged, learn
from models.retrieval.passages import Filters
from models.retrieval.question import Vector
from models.retrieval.retriever import Candidates, Retriever
from pipelines.evaluation.beir import Dataset

PAGE = 200
AT_ONCE = 4
"""Cases asked at a time: what waits for the embedder and for the store is not the same one."""

Report = Callable[[str], None]


async def teach(dataset: Dataset, source: str, pool: db.Pool, shelf: Shelf, report: Report) -> None:
    """Write the data set's queries as solved cases; `source` is the key its articles were indexed under."""
    cases = [
        Imported(query.id, query.text, tuple(article_id(source, each) for each in query.gains))
        for query in dataset.queries
    ]
    for start in range(0, len(cases), PAGE):
        async with db.transaction(pool) as conn:
            await service.add_imported(conn, cases[start : start + PAGE])
    await shelf.store.ensure(shelf.embedder.dimensions)
    done = 0
    while written := await jobs.write_missing(pool, shelf):
        done += written
        report(f"{done:,} of {len(cases):,} cases embedded")
    await shelf.store.flush()


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest cases, oldest first, asked as if they were new; `vectors` has each as it was read."""

    cases: Sequence[Confirmed]
    lessons: Sequence[Lesson]
    vectors: Sequence[Vector | None]

    @property
    def boundary(self) -> int:
        """Only cases before it voted, and only those may be learnt from before it has shown."""
        return int(OLDER * len(self.cases))


async def asked(pool: db.Pool, retriever: Retriever, report: Report) -> Asked:
    async with db.transaction(pool) as conn:
        cases = await service.confirmed(conn, NEWEST)
    silent = {str(case.id) for case in cases[int(OLDER * len(cases)) :]}
    free, done = asyncio.Semaphore(AT_ONCE), 0

    async def ask(case: Confirmed) -> Candidates:
        nonlocal done
        seen: list[Candidates] = []
        async with free:
            await retriever.retrieve(
                case.question,
                filters=Filters(),
                rerank=False,
                without_cases=silent | {str(case.id)},
                observe=seen.append,
            )
        report(f"{(done := done + 1):,} of {len(cases):,} cases asked")
        return seen[0]

    found = await asyncio.gather(*map(ask, cases))
    lessons = [
        Lesson(each.ranked or (), each.votes, {str(article) for article in case.articles})
        for each, case in zip(found, cases, strict=True)
    ]
    return Asked(cases, lessons, [each.vector for each in found])


async def learn_weights(
    pool: db.Pool, retriever: Retriever, index: str, past: Asked, *, keep: bool = True
) -> Learnt | None:
    """What the cases teach of how much each voter counts; used from now on if it won."""
    known = await retriever.cases.weights() if retriever.cases else {}
    learnt = learn(past.lessons[: past.boundary], past.lessons[past.boundary :], known)
    if learnt and keep:
        async with db.transaction(pool) as conn:
            await service.keep_weights(conn, index, learnt.weights, learnt.figures, active=learnt.won)
    return learnt


async def learn_affinity(pool: db.Pool, retriever: Retriever, collection: str, past: Asked) -> Learnt | None:
    """Fit an affinity to the older cases; one that wins on the newer is fitted to all of them, and used."""
    memory, newer = retriever.cases, past.lessons[past.boundary :]
    if memory is None or len(past.cases) < LEAST or any(each is None for each in past.vectors):
        return None
    vectors = np.stack([each for each in past.vectors if each is not None])
    weight, first_line = memory.voting.affinity, retriever.settings.first_line_weight
    over = await ground(pool, retriever.embedder, first_line=first_line)
    rows = [row for row, case in enumerate(past.cases) if case.public]

    async def fitted(rows: Sequence[int]) -> Affinity | None:
        return await over.learnt([past.cases[row] for row in rows], vectors[rows])

    trial = await fitted([row for row in rows if row < past.boundary])
    if trial is None:
        return None
    verdict = judged(newer, [trial.lifts(each, weight) for each in vectors[past.boundary :]], weight)
    final = await fitted(rows) if verdict.won else None
    async with db.transaction(pool) as conn:
        if final:
            cases = [past.cases[row].id for row in rows]
            await affinities.keep(conn, collection, final, cases, verdict.figures)
        else:
            await affinities.drop(conn, collection)
    return verdict
