"""Stores of an evaluation's own, a data set indexed into them, and the production retriever over them."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from app import db
from app.cases.jobs import Shelf
from app.cases.library import PostgresCases
from app.knowledge.library import PostgresLibrary
from app.knowledge.stores import retriever_settings
from config import environment
from config.embedded.stores import Addresses, Stores
from config.profile import Profile
from models.embedding.local import LocalEmbedder
from models.loading.sources import Source
from models.reranking.local import LocalReranker
from models.reranking.opening import open_reranker
from models.retrieval.cases import CaseMemory
from models.retrieval.milvus import MilvusStore
from models.retrieval.retriever import Retriever
from pipelines import console
from pipelines.evaluation.beir import Dataset
from pipelines.evaluation.cases import teach
from pipelines.indexing.compute import in_process
from pipelines.indexing.run import Run, Settings
from pipelines.indexing.summary import Summary

SOURCE = "corpus"
CASES = "cases"

Report = Callable[[str], None]


@contextmanager
def throwaway() -> Iterator[Addresses]:
    """Stores in a home of their own, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="es-evaluate-"))
    stores = Stores(home, wanted=frozenset({"postgres", "milvus"}))
    try:
        with stores as addresses:
            yield addresses
    finally:
        stores.destroy()
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def indexed(
    corpus: Path, profile: Profile, addresses: Addresses, report: Report
) -> AsyncIterator[tuple[db.Pool, Retriever, Summary]]:
    """The corpus in the stores at `addresses`, and the retriever over it."""
    dsn, uri = addresses.database_url or "", addresses.milvus_uri or ""
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=profile.stores.statement_timeout_s)
    store = MilvusStore(uri, profile.retrieval.collection, timeout_s=profile.retrieval.timeout_s)
    try:
        summary = await _index(corpus, profile, pool, store, report)
        yield pool, retriever_over(profile, pool, store, uri), summary
    finally:
        await store.close()
        await pool.close()


async def _index(
    corpus: Path, profile: Profile, pool: db.Pool, store: MilvusStore, report: Report
) -> Summary:
    settings = Settings.of(profile, environment.read())
    settings = replace(settings, embedder=replace(settings.embedder, threads=os.cpu_count() or 1))
    summary = Summary()
    indexing = Run(
        pool=pool,
        store=store,
        settings=settings,
        compute=in_process(settings.embedder, settings.chunking),
        summary=summary,
        progress=lambda s: report(f"{s.documents:,} documents, {s.embedded:,} chunks embedded"),
    )
    await indexing.index([Source(SOURCE, corpus)])
    summary.ended()
    for problem in summary.skipped:
        console.warn(str(problem))
    return summary


async def taught(past: Dataset, pool: db.Pool, retriever: Retriever, report: Report) -> int:
    """Let the data set's queries be solved cases; how many they are."""
    memory = retriever.cases
    if memory is None:
        return 0
    shelf = Shelf(CASES, retriever.embedder, memory.store)
    await teach(past, SOURCE, pool, shelf, report)
    return len(past.queries)


def retriever_over(
    profile: Profile, pool: db.Pool, store: MilvusStore, uri: str, cases: str = CASES
) -> Retriever:
    """As the service puts it together, with the models in this process; one passage an article."""
    settings, models = profile.retrieval, environment.read().models
    chosen = retriever_settings(profile)
    wanted = profile.reranker
    reranker = (
        LocalReranker(
            open_reranker(
                models,
                wanted.model,
                kind=wanted.kind,
                precision=wanted.precision,
                threads=wanted.threads,
                max_tokens=wanted.max_tokens,
            )
        )
        if settings.rerank and settings.rerank_weight
        else None
    )
    embedder = replace(Settings.of(profile, environment.read()).embedder, threads=profile.embedder.threads)
    return Retriever(
        embedder=LocalEmbedder(embedder.open()),
        store=store,
        library=PostgresLibrary(pool, settings.collection),
        reranker=reranker,
        settings=replace(chosen, per_article=1),
        cases=CaseMemory(
            MilvusStore(uri, cases, timeout_s=settings.timeout_s),
            PostgresCases(pool, settings.collection, cases),
            chosen.voting,
        ),
    )
