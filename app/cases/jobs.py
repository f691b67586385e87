"""Keeps the vector store's copies of solved cases in step with PostgreSQL: at once, and where it lost some.

There is a copy for each embedder that an index which answers, or may do so in a second, was made with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app import db
from app.cases import affinities, repository
from app.cases.schemas import CaseJob, Subject
from app.cases.service import INDEX_CASE
from app.jobs.schemas import Effect, Handler, Job
from models.embedding.protocol import Embedder
from models.retrieval import question
from models.retrieval.bm25 import document_vector
from models.retrieval.store import Record, VectorStore

SYNC_CASES = "sync_cases"
BATCH = 64
NO_WORDS = {0: 1e-9}
"""A sparse field has to have something in it."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One embedder's copy of the cases."""

    collection: str
    embedder: Embedder
    store: VectorStore


class Shelves(Protocol):
    async def wanted(self) -> Sequence[Shelf]:
        """That of the index that answers first."""
        ...

    async def drop(self, collection: str) -> None:
        """Forget the copy of an embedder that no index is made with any more."""
        ...


async def write(subjects: Sequence[Subject], embedder: Embedder, store: VectorStore) -> None:
    """Embed these cases as questions are, and store them."""
    vectors = [await question.compared(each.question, embedder) for each in subjects]
    records = [
        Record(
            chunk_id=str(each.id),
            article_id="",
            audiences=each.audiences,
            products=(),
            topics=(),
            language="",
            dense=vector,
            sparse=document_vector(each.question) or NO_WORDS,
        )
        for each, vector in zip(subjects, vectors, strict=True)
    ]
    await store.upsert(records)


async def write_missing(pool: db.Pool, shelf: Shelf) -> int:
    """Write a batch of the cases that the shelf does not have yet; how many they were."""
    async with db.transaction(pool) as conn:
        missing = await repository.unindexed(conn, shelf.collection, BATCH)
    if missing:
        await write(missing, shelf.embedder, shelf.store)
        async with db.transaction(pool) as conn:
            await repository.set_indexed(conn, [each.id for each in missing], shelf.collection)
    return len(missing)


class Shelving:
    """The jobs. What is done twice does no harm."""

    def __init__(self, pool: db.Pool, shelves: Shelves) -> None:
        self._pool = pool
        self._shelves = shelves
        self._ready: set[str] = set()

    async def index_case(self, job: Job, effect: Effect) -> None:
        """No connection is held while the model reads."""
        case_id = CaseJob.model_validate(job.payload).case_id
        shelves = await self._prepared()
        async with db.transaction(self._pool) as conn:
            subject = await repository.subject(conn, case_id)
        counts = subject if subject and subject.counts else None
        for shelf in shelves:
            if counts:
                await write([counts], shelf.embedder, shelf.store)
            else:
                await shelf.store.delete([str(case_id)])
        async with effect() as conn:
            await repository.unset_indexed(conn, case_id)
            for shelf in shelves if counts else ():
                await repository.set_indexed(conn, [case_id], shelf.collection)

    async def sync_cases(self, job: Job, effect: Effect) -> None:
        """Write what a copy lacks: everything where it was lost, or the embedder is new."""
        shelves = await self._prepared()
        async with db.transaction(self._pool) as conn:
            there = await repository.collections(conn)
        for old in there - {shelf.collection for shelf in shelves}:
            await self._shelves.drop(old)
            async with db.transaction(self._pool) as conn:
                await repository.forget_index(conn, old)
                await affinities.drop(conn, old)
        for shelf in shelves:
            async with db.transaction(self._pool) as conn:
                if await repository.indexed(conn, shelf.collection) > await shelf.store.count():
                    await repository.forget_index(conn, shelf.collection)
            while await write_missing(self._pool, shelf):
                continue

    async def _prepared(self) -> Sequence[Shelf]:
        shelves = await self._shelves.wanted()
        for shelf in shelves:
            if shelf.collection not in self._ready:
                await shelf.store.ensure(shelf.embedder.dimensions)
                self._ready.add(shelf.collection)
        return shelves


def handlers(pool: db.Pool, shelves: Shelves) -> Mapping[str, Handler]:
    """What a `Runner` needs to know of solved cases."""
    shelving = Shelving(pool, shelves)
    return {INDEX_CASE: shelving.index_case, SYNC_CASES: shelving.sync_cases}
