"""Indexing runs from beginning to end: from sources, and of a new version beside the one that answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app import db
from app.errors import NotFound
from app.knowledge import promotion, versions
from app.knowledge.schemas import Index
from app.knowledge.stores import open_store
from config.environment import Environment
from config.profile import Profile
from models.loading.sources import Source
from pipelines.indexing import cluster, gate
from pipelines.indexing.compute import on_ray
from pipelines.indexing.run import Progress, Run, Settings
from pipelines.indexing.summary import Summary


class IndexUnknown(NotFound):
    """There is no index of that name to build."""


@dataclass(slots=True)
class Workshop:
    """What every run of one command shares; `embedders` may work at once on Ray."""

    pool: db.Pool
    profile: Profile
    environment: Environment
    embedders: int
    progress: Progress
    summary: Summary = field(default_factory=Summary)
    until: float = float("inf")

    @asynccontextmanager
    async def run(self, settings: Settings) -> AsyncIterator[Run]:
        store = open_store(self.profile.retrieval, self.environment, settings.index)
        settings.embedder.check()
        try:
            yield Run(
                pool=self.pool,
                store=store,
                settings=settings,
                compute=on_ray(settings.embedder, settings.chunking, self.embedders),
                summary=self.summary,
                limit=await store.capacity(),
                progress=self.progress,
                until=self.until,
            )
        finally:
            await store.close()

    def settings(self, index: Index) -> Settings:
        return Settings.of_index(index, self.profile, self.environment)


def index_sources(
    sources: Sequence[Source],
    profile: Profile,
    environment: Environment,
    *,
    full: bool = False,
    progress: Progress = lambda _: None,
) -> Summary:
    """Index `sources` into the stores that `environment` names, on this home's Ray if it runs.

    Where the profile asks for another embedder or chunker than the index that answers was made with, a new
    version is built beside it, judged and, if it is no worse, promoted.

    Raises `SourceError` (bad source), `TooManyChunks`, `AlreadyIndexing`, `StoreUnavailable`, `DatabaseDown`.
    """
    summary = Summary()
    Settings.of(profile, environment).embedder.check()
    with cluster.connected(environment.home) as embedders:
        summary.started()
        asyncio.run(_index(sources, profile, environment, embedders, summary, full, progress))
    summary.ended()
    return summary


async def _index(
    sources: Sequence[Source],
    profile: Profile,
    environment: Environment,
    embedders: int,
    summary: Summary,
    full: bool,
    progress: Progress,
) -> None:
    async with _pool(profile, environment) as pool:
        shop = Workshop(pool, profile, environment, embedders, progress, summary)
        wanted = Settings.of(profile, environment)
        async with pool.acquire(timeout=5) as conn:
            live = await versions.live(conn)
        async with shop.run(shop.settings(live) if live else wanted) as run:
            await run.index(sources, full=full)
        await _others(shop)
        if live and shop.settings(live).description != wanted.description:
            async with db.transaction(pool) as conn:
                index = await promotion.begin(conn, profile.retrieval.collection, **wanted.description)
            if await _build(shop, index):
                async with db.transaction(pool) as conn:
                    await promotion.switch(conn, index.name)


async def _others(shop: Workshop) -> None:
    """What stands by keeps up, so that going back to it shows no old text."""
    async with shop.pool.acquire(timeout=5) as conn:
        kept = [index for index in await versions.every(conn) if index.status in {"ready", "standby"}]
    for index in kept:
        async with Workshop(shop.pool, shop.profile, shop.environment, shop.embedders, shop.progress).run(
            shop.settings(index)
        ) as run:
            await run.catch_up()


def build(
    name: str,
    profile: Profile,
    environment: Environment,
    *,
    seconds: float = float("inf"),
    progress: Progress = lambda _: None,
) -> Summary:
    """Build the index version `name` and judge it. Raises `Unfinished` after `seconds`: run it again."""
    summary = Summary()
    with cluster.connected(environment.home) as embedders:
        summary.started()
        until = time.monotonic() + seconds
        asyncio.run(_build_named(name, profile, environment, embedders, summary, progress, until))
    summary.ended()
    return summary


async def _build_named(
    name: str,
    profile: Profile,
    environment: Environment,
    embedders: int,
    summary: Summary,
    progress: Progress,
    until: float,
) -> None:
    async with _pool(profile, environment) as pool:
        async with pool.acquire(timeout=5) as conn:
            index = await versions.get(conn, name)
        if index is None or index.status != "building":
            raise IndexUnknown
        await _build(Workshop(pool, profile, environment, embedders, progress, summary, until), index)


async def _build(shop: Workshop, index: Index) -> bool:
    """Fill the index and judge it against the one that answers; whether it passed."""
    async with shop.run(shop.settings(index)) as run:
        await run.catch_up()
    async with shop.pool.acquire(timeout=5) as conn:
        live = await versions.live(conn)
    verdict = await gate.judge(shop.pool, shop.profile, shop.environment, index, live)
    async with db.transaction(shop.pool) as conn:
        await versions.judge(conn, index.name, passed=verdict.passed, gate=verdict.as_json())
    return verdict.passed


@asynccontextmanager
async def _pool(profile: Profile, environment: Environment) -> AsyncIterator[db.Pool]:
    dsn = environment.require_database_url()
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=profile.stores.statement_timeout_s)
    try:
        yield pool
    finally:
        await pool.close()
