"""`index_sources`: one indexing run from beginning to end, with Ray and both stores opened and closed."""

import asyncio
from collections.abc import Sequence

from app import db
from app.knowledge.stores import open_store
from config.environment import Environment
from config.profile import Profile
from models.loading.sources import Source
from pipelines.indexing import cluster
from pipelines.indexing.compute import on_ray
from pipelines.indexing.run import Progress, Run, Settings
from pipelines.indexing.summary import Summary


def index_sources(
    sources: Sequence[Source],
    profile: Profile,
    environment: Environment,
    *,
    full: bool = False,
    progress: Progress = lambda _: None,
) -> Summary:
    """Index `sources` into the stores that `environment` names, on this home's Ray if it runs.

    Raises `SourceError` (bad source), `TooManyChunks`, `AlreadyIndexing`, `StoreUnavailable`, `DatabaseDown`.
    """
    summary = Summary()
    settings = Settings.of(profile, environment)
    settings.embedder.check()
    with cluster.connected(environment.home) as embedders:
        summary.started()
        asyncio.run(_index(sources, profile, environment, settings, embedders, summary, full, progress))
    summary.ended()
    return summary


async def _index(
    sources: Sequence[Source],
    profile: Profile,
    environment: Environment,
    settings: Settings,
    embedders: int,
    summary: Summary,
    full: bool,
    progress: Progress,
) -> None:
    dsn = environment.require_database_url()
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=profile.stores.statement_timeout_s)
    store = open_store(profile.retrieval, environment)
    try:
        run = Run(
            pool=pool,
            store=store,
            settings=settings,
            compute=on_ray(settings.embedder, settings.chunking, embedders),
            summary=summary,
            limit=await store.capacity(),
            progress=progress,
        )
        await run.index(sources, full=full)
    finally:
        await store.close()
        await pool.close()
