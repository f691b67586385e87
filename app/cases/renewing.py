"""Learns an affinity anew once links it was learnt from were taken back, or their cases are gone.

Whether one is used at all is decided by `pipelines.evaluate live --learn`, on newer cases than it learnt
from; this keeps to what stands now. Votes forget at once, an affinity within ten minutes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

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


async def read(texts: Sequence[str], embedder: Embedder) -> Vectors:
    """Each as a question is compared with others."""
    if not texts:
        return np.zeros((0, embedder.dimensions), dtype=np.float32)
    return np.stack([await question.compared(text, embedder) for text in texts])


@dataclass(frozen=True, slots=True)
class Ground:
    """The articles that an affinity is over, where each lies, and where its title does."""

    articles: Sequence[str]
    places: Vectors
    titles: Vectors

    async def learnt(self, cases: Sequence[Confirmed], asked: Vectors) -> Affinity | None:
        """From these cases, whose questions were read as `asked`."""
        links = [[str(each) for each in case.articles] for case in cases]
        return await asyncio.to_thread(fit, asked, links, self.articles, self.places, self.titles)


async def ground(pool: db.Pool, embedder: Embedder, *, first_line: float) -> Ground:
    """Articles lie where their titles would be asked. No connection is held while the model reads."""
    async with db.transaction(pool) as conn:
        openings = await affinities.openings(conn)
    places = np.zeros((len(openings), embedder.dimensions), dtype=np.float32)
    titles = np.zeros_like(places)
    for row, (_, opening) in enumerate(openings):
        vectors = await embedder.embed(question.views(opening))
        places[row], titles[row] = question.mixed(vectors, first_line=first_line), vectors[-1]
    return Ground([article for article, _ in openings], places, titles)


def handlers(pool: db.Pool, shelves: Shelves, *, first_line: float) -> dict[str, Handler]:
    async def renew(job: Job, effect: Effect) -> None:
        shelf = (await shelves.wanted())[0]
        async with db.transaction(pool) as conn:
            figures = await affinities.outdated(conn, shelf.collection)
            found = await repository.confirmed(conn, affinities.NEWEST) if figures is not None else []
        if figures is None:
            return
        cases = [case for case in found if case.public]
        asked = await read([case.question for case in cases], shelf.embedder)
        over = await ground(pool, shelf.embedder, first_line=first_line)
        new = await over.learnt(cases, asked)
        async with effect() as conn:
            if new is None:
                await affinities.drop(conn, shelf.collection)
            else:
                await affinities.keep(conn, shelf.collection, new, [case.id for case in cases], figures)

    return {RENEW_AFFINITY: renew}
