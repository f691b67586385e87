"""Learns an affinity anew once links it was learnt from were taken back, or their cases are gone.

Whether one is used at all is decided by `pipelines.evaluate live --learn`, on newer cases than it learnt
from; this keeps to what stands now. Votes forget at once, an affinity within ten minutes.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from app import db
from app.cases import affinities, repository
from app.cases.jobs import Shelves
from app.cases.schemas import Confirmed
from app.jobs.schemas import Effect, Handler, Job
from models.embedding.protocol import Embedder
from models.retrieval import question
from models.retrieval.affinity import Affinity, Vectors, fit

RENEW_AFFINITY = "renew_affinity"


async def read(texts: Sequence[str], embedder: Embedder, *, first_line: float) -> Vectors:
    """Each as a question is read, so that articles lie where their titles would be asked."""
    return np.stack([await question.embedded(text, embedder, first_line=first_line) for text in texts])


async def learnt(
    pool: db.Pool, cases: Sequence[Confirmed], asked: Vectors, embedder: Embedder, *, first_line: float
) -> Affinity | None:
    """From these cases, whose questions were read as `asked`. No connection is held while models run."""
    async with db.transaction(pool) as conn:
        openings = await affinities.openings(conn)
    if not openings:
        return None
    places = await read([opening for _, opening in openings], embedder, first_line=first_line)
    links = [[str(each) for each in case.articles] for case in cases]
    return await asyncio.to_thread(fit, asked, links, [article for article, _ in openings], places)


def handlers(pool: db.Pool, shelves: Shelves, *, first_line: float) -> dict[str, Handler]:
    async def renew(job: Job, effect: Effect) -> None:
        shelf = (await shelves.wanted())[0]
        async with db.transaction(pool) as conn:
            figures = await affinities.outdated(conn, shelf.collection)
            found = await repository.confirmed(conn, affinities.NEWEST) if figures is not None else []
        if figures is None:
            return
        cases = [case for case in found if case.public]
        asked = (
            await read([case.question for case in cases], shelf.embedder, first_line=first_line)
            if cases
            else np.zeros((0, shelf.embedder.dimensions), dtype=np.float32)
        )
        new = await learnt(pool, cases, asked, shelf.embedder, first_line=first_line)
        async with effect() as conn:
            if new is None:
                await affinities.drop(conn, shelf.collection)
            else:
                await affinities.keep(conn, shelf.collection, new, [case.id for case in cases], figures)

    return {RENEW_AFFINITY: renew}
