"""Keeps the vector store's copy of solved cases in step with PostgreSQL: at once, and where it lost some."""

from collections.abc import Mapping, Sequence

from app import db
from app.cases import repository
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


async def write(
    subjects: Sequence[Subject], embedder: Embedder, store: VectorStore, *, first_line: float
) -> None:
    """Embed these cases as questions are, and store them."""
    vectors = [await question.embedded(each.question, embedder, first_line=first_line) for each in subjects]
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


async def write_missing(
    pool: db.Pool, embedder: Embedder, store: VectorStore, collection: str, *, first_line: float
) -> int:
    """Write a batch of the cases that `store` does not have yet; how many they were."""
    async with db.transaction(pool) as conn:
        missing = await repository.unindexed(conn, collection, BATCH)
    if missing:
        await write(missing, embedder, store, first_line=first_line)
        async with db.transaction(pool) as conn:
            await repository.set_indexed(conn, [each.id for each in missing], collection)
    return len(missing)


def handlers(
    pool: db.Pool, embedder: Embedder, store: VectorStore, collection: str, *, first_line: float
) -> Mapping[str, Handler]:
    """What a `Runner` needs to know of solved cases."""
    ready = False

    async def prepared() -> None:
        nonlocal ready
        if not ready:
            await store.ensure(embedder.dimensions)
            ready = True

    async def index_case(job: Job, effect: Effect) -> None:
        """No connection is held while the model reads; to do it twice does no harm."""
        case_id = CaseJob.model_validate(job.payload).case_id
        await prepared()
        async with db.transaction(pool) as conn:
            subject = await repository.subject(conn, case_id)
        if subject and subject.counts:
            await write([subject], embedder, store, first_line=first_line)
        else:
            await store.delete([str(case_id)])
        async with effect() as conn:
            counts = subject is not None and subject.counts
            await repository.set_indexed(conn, [case_id], collection if counts else None)

    async def sync_cases(job: Job, effect: Effect) -> None:
        """Write what the store lacks: everything where it was lost, or the embedder is new."""
        await prepared()
        async with db.transaction(pool) as conn:
            if await repository.indexed(conn, collection) > await store.count():
                await repository.forget_index(conn, collection)
        while await write_missing(pool, embedder, store, collection, first_line=first_line):
            continue

    return {INDEX_CASE: index_case, SYNC_CASES: sync_cases}
