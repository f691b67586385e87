"""What follows from edits, uploads and promotions: jobs of the Worker."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from app import db
from app.jobs import service as jobs
from app.jobs.schemas import Effect, Handler, Job
from app.knowledge import uploads, versions
from app.knowledge.schemas import Index
from app.knowledge.updating import Updater
from models.retrieval.store import VectorStore


@dataclass(frozen=True, slots=True)
class Tools:
    """What the jobs need of the outside.

    `build` fills and judges an index version in a process of its own and says whether it came to an end;
    `open_updater` has the embedder that an index was made with.
    """

    pool: db.Pool
    open_store: Callable[[str], VectorStore]
    open_updater: Callable[[Index], Updater]
    build: Callable[[str], Awaitable[bool]]


def handlers(tools: Tools) -> Mapping[str, Handler]:
    every = (index_articles, forget_vectors, publish_index, drop_vectors, build_index, load_document)
    return {each.__name__: partial(each, tools) for each in every}


async def index_articles(tools: Tools, job: Job, effect: Effect) -> None:
    """Every index that answers or may be made to gets what it lacks; a job that runs again finds less."""
    async with db.transaction(tools.pool) as conn:
        kept = [index for index in await versions.every(conn) if index.status in versions.KEPT]
    for index in kept:
        updater = tools.open_updater(index)
        try:
            await updater.catch_up()
        finally:
            await updater.close()
    async with effect() as conn:
        await uploads.settle(conn)


async def forget_vectors(tools: Tools, job: Job, effect: Effect) -> None:
    """Of articles that were deleted: they were not shown any more from the moment of their deletion."""
    found = job.payload["vectors"]
    assert isinstance(found, dict)  # noqa: S101
    for collection, chunk_ids in found.items():
        assert isinstance(chunk_ids, list)  # noqa: S101
        store = tools.open_store(collection)
        try:
            await store.delete([str(chunk_id) for chunk_id in chunk_ids])
        finally:
            await store.close()


async def publish_index(tools: Tools, job: Job, effect: Effect) -> None:
    async with db.transaction(tools.pool) as conn:
        live = await versions.live(conn)
    if live and live.name == job.payload["name"]:
        store = tools.open_store(live.name)
        try:
            await store.publish(f"{live.name.partition('_')[0]}_live")
        finally:
            await store.close()


async def drop_vectors(tools: Tools, job: Job, effect: Effect) -> None:
    store = tools.open_store(str(job.payload["collection"]))
    try:
        await store.drop()
    finally:
        await store.close()


async def build_index(tools: Tools, job: Job, effect: Effect) -> None:
    """One stretch of the build; the next one goes on where it ended, here or on another worker."""
    name = str(job.payload["name"])
    done = await tools.build(name)
    async with effect() as conn:
        if not done:
            await jobs.enqueue(conn, "build_index", {"name": name}, dedupe_key=name)


async def load_document(tools: Tools, job: Job, effect: Effect) -> None:
    await uploads.load(tools.pool, job, effect)
