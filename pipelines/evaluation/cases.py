"""Fills an evaluation's stores with solved cases, and learns from them as the service does."""

from collections.abc import Callable

from app import db
from app.cases import jobs, service
from app.cases.jobs import Shelf
from app.cases.schemas import Imported
from app.knowledge.indexing import article_id
from models.retrieval.learning import OLDER, Learnt, Lesson, learn
from models.retrieval.passages import Filters
from models.retrieval.retriever import Candidates, Retriever
from pipelines.evaluation.beir import Dataset

PAGE = 200
NEWEST = 1_200
"""Cases that weights are learnt from: at 40 ms each less than a minute."""

Report = Callable[[str], None]


async def teach(
    dataset: Dataset, source: str, pool: db.Pool, shelf: Shelf, first_line: float, report: Report
) -> None:
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
    while written := await jobs.write_missing(pool, shelf, first_line=first_line):
        done += written
        report(f"{done:,} of {len(cases):,} cases embedded")
    await shelf.store.flush()


async def learn_weights(
    pool: db.Pool, retriever: Retriever, index: str, report: Report, *, keep: bool = True
) -> Learnt | None:
    """Ask the newest cases as if they were new, and keep what that teaches; used from now on if it won."""
    async with db.transaction(pool) as conn:
        cases = await service.confirmed(conn, NEWEST)
    boundary = int(OLDER * len(cases))
    silent = {str(case.id) for case in cases[boundary:]}
    lessons: list[Lesson] = []
    for number, case in enumerate(cases, start=1):
        seen: list[Candidates] = []
        await retriever.retrieve(
            case.question,
            filters=Filters(),
            rerank=False,
            without_cases=silent | {str(case.id)},
            observe=seen.append,
        )
        right = {str(each) for each in case.articles}
        lessons.append(Lesson(seen[0].ranked or (), seen[0].votes, right))
        report(f"{number:,} of {len(cases):,} cases asked")
    known = await retriever.cases.weights() if retriever.cases else {}
    learnt = learn(lessons[:boundary], lessons[boundary:], known)
    if learnt and keep:
        async with db.transaction(pool) as conn:
            await service.keep_weights(conn, index, learnt.weights, learnt.figures, active=learnt.won)
    return learnt
