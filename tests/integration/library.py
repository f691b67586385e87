"""The library's jobs without Ray: the real stores, runner and embedder, builds in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app import db
from app.jobs.runner import Runner
from app.knowledge import jobs, versions
from app.knowledge.jobs import Tools
from app.knowledge.library import PostgresLibrary
from app.knowledge.schemas import Index
from app.knowledge.stores import open_store
from app.knowledge.updating import Updater
from config import environment, profile
from config.embedded.stores import Addresses
from config.environment import Environment
from models.embedding.local import LocalEmbedder
from models.embedding.protocol import Vectors
from models.retrieval.chunking import Chunking
from models.retrieval.live import IndexVersion, LiveRetriever
from models.retrieval.retriever import Retriever
from models.retrieval.settings import RetrieverSettings
from models.retrieval.store import VectorStore
from pipelines.indexing import gate
from pipelines.indexing.compute import in_process
from pipelines.indexing.run import Run, Settings
from pipelines.indexing.summary import Summary
from tests.integration.knowledge import prepared


@dataclass
class CountingEmbedder:
    """The real model; remembers what it was asked to embed."""

    model: LocalEmbedder
    texts: list[str] = field(default_factory=list)
    name: str = "all-minilm-l6-v2"
    dimensions: int = 384

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return await self.model.embed(texts)

    async def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        self.texts += texts
        return await self.model.read(texts)

    async def embed_fading(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return await self.model.embed_fading(texts)


@dataclass
class Library:
    """One installation: its profile, its stores, the index versions in them."""

    pool: db.Pool
    environment: Environment
    profile: profile.Profile
    embedder: CountingEmbedder

    @classmethod
    def at(cls, pool: db.Pool, database_url: str, stores: Addresses, **retrieval: Any) -> "Library":
        values = profile.load("test").model_dump()
        values["retrieval"] |= retrieval
        addresses = stores.environ() | {"DATABASE_URL": database_url}
        models = environment.read().models
        env = environment.read(addresses | {"ESERVICE_MODELS": str(models)})
        return cls(
            pool, env, profile.Profile.model_validate(values), CountingEmbedder(LocalEmbedder(prepared()))
        )

    def store(self, name: str) -> VectorStore:
        return open_store(self.profile.retrieval, self.environment, name)

    async def index(self, name: str) -> Index:
        async with self.pool.acquire() as conn:
            found = await versions.get(conn, name)
        assert found
        return found

    def run(self, index: Index, **options: Any) -> Run:
        settings = Settings.of_index(index, self.profile, self.environment)
        compute = options.pop("compute", None) or in_process(settings.embedder, settings.chunking)
        return Run(self.pool, self.store(index.name), settings, compute, Summary(), **options)

    async def build(self, name: str) -> bool:
        index = await self.index(name)
        await self.run(index).catch_up()
        async with self.pool.acquire() as conn:
            live = await versions.live(conn)
        verdict = await gate.judge(self.pool, self.profile, self.environment, index, live)
        async with self.pool.acquire() as conn:
            await versions.judge(conn, name, passed=verdict.passed, gate=verdict.as_json())
        return True

    def updater(self, index: Index) -> Updater:
        return Updater(
            self.pool,
            self.store(index.name),
            index.name,
            embedder=self.embedder,
            count=self.embedder.model.model.count_tokens,
            chunking=Chunking.parse(index.chunker),
            signs=True,
        )

    async def work(self, until: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
        """Let a worker run the library's jobs until something is so."""
        tools = Tools(self.pool, self.store, self.updater, self.build)
        runner = Runner(self.pool, jobs.handlers(tools), self.profile.jobs)
        stop = asyncio.Event()
        running = asyncio.create_task(runner.run(stop))
        try:
            async with asyncio.timeout(within_s):
                while not await until():  # noqa: ASYNC110  # its state is in the database
                    await asyncio.sleep(0.1)
        finally:
            stop.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(running, 10)

    async def idle(self) -> bool:
        waiting: int = await self.pool.fetchval(
            "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
        )
        return waiting == 0

    def retriever(self) -> LiveRetriever:
        def open_version(version: IndexVersion) -> Retriever:
            return Retriever(
                embedder=self.embedder,
                store=self.store(version.name),
                library=PostgresLibrary(self.pool, version.name),
                reranker=None,
                settings=RetrieverSettings(),
            )

        async def look() -> IndexVersion | None:
            index = await db.read(self.pool, versions.live)
            return IndexVersion(index.name, index.embedder, index.dimensions) if index else None

        first = IndexVersion(self.profile.retrieval.collection, "", 384)
        return LiveRetriever(first, look=look, open_version=open_version)
