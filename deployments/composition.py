"""Puts the parts of `models` and `app` together on a replica, from its profile, environment and handles."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from redis.asyncio import Redis

from app import cache, db
from app.cases import jobs as case_jobs
from app.cases import renewing
from app.cases.jobs import Shelf
from app.cases.library import PostgresCases, case_collection
from app.events.relay import Sink
from app.events.sinks.redis_stream import RedisStream
from app.jobs.schemas import Handler
from app.knowledge import versions
from app.knowledge.jobs import Tools
from app.knowledge.library import PostgresLibrary
from app.knowledge.schemas import Index
from app.knowledge.stores import open_store, retriever_settings
from app.knowledge.updating import Updater
from app.privacy import erasing, retention
from app.providers.hints import Hints
from app.providers.watch import Watch
from app.triage import forgetting
from app.webhooks.destinations import LOOPBACK, Destinations, SystemResolver
from app.webhooks.jobs import Deliverer
from app.webhooks.sending import Sender
from config.environment import Environment
from config.profile import Profile
from deployments import builds
from deployments.providers import Providers
from deployments.remote import RemoteEmbedder
from models.artefacts import Artefacts
from models.embedding.opening import parse
from models.llm.catalogue import Catalogue
from models.reranking.protocol import Reranker
from models.retrieval.cases import CaseMemory
from models.retrieval.chunking import Chunking, sizer
from models.retrieval.live import IndexVersion, LiveRetriever
from models.retrieval.retriever import Retriever
from models.retrieval.store import VectorStore


async def open_pool(profile: Profile, environment: Environment) -> db.Pool:
    stores = profile.stores
    return await db.connect(
        environment.require_database_url(),
        max_size=stores.pool_max,
        statement_timeout_s=stores.statement_timeout_s,
    )


def open_redis(profile: Profile, environment: Environment) -> Redis:
    return cache.connect(environment.require_redis_url(), timeout_s=profile.stores.redis_timeout_s)


def sink(profile: Profile, environment: Environment) -> Sink:
    """Where the log of events goes. Brokers' libraries are loaded only where one is used."""
    settings = profile.events
    match settings.sink:
        case "rabbitmq":
            from app.events.sinks.rabbitmq import RabbitMq

            return RabbitMq(environment.require_events_url(), settings.stream, settings.timeout_s)
        case "kafka":
            from app.events.sinks.kafka import Kafka

            return Kafka(environment.require_events_url(), settings.stream, settings.timeout_s)
    return RedisStream(open_redis(profile, environment), settings.stream, settings.maxlen)


def webhook_deliverer(profile: Profile, pool: db.Pool) -> Deliverer:
    """Loopback is for the local profile; `config.safety` refuses it elsewhere."""
    settings = profile.webhooks
    destinations = Destinations(SystemResolver(), LOOPBACK if settings.allow_loopback else ())
    return Deliverer(pool, Sender(destinations, settings), settings)


def retriever(
    profile: Profile, environment: Environment, pool: db.Pool, embedder: RemoteEmbedder, reranker: Reranker
) -> LiveRetriever:
    """Through the index version that answers at the moment, with the embedder it was made with."""
    settings = profile.retrieval
    chosen = retriever_settings(profile)

    def open_version(version: IndexVersion) -> Retriever:
        return Retriever(
            embedder=embedder.of(version.embedder, version.dimensions) if version.embedder else embedder,
            store=open_store(settings, environment, version.name),
            library=PostgresLibrary(pool, version.name),
            reranker=reranker if settings.rerank else None,
            settings=chosen,
            cases=CaseMemory(
                open_store(settings, environment, case_shelf(profile, version.embedder)),
                PostgresCases(pool, version.name, case_shelf(profile, version.embedder)),
                chosen.voting,
            ),
        )

    async def look() -> IndexVersion | None:
        index = await db.read(pool, versions.live)
        return IndexVersion(index.name, index.embedder, index.dimensions) if index else None

    first = IndexVersion(settings.collection, "", embedder.dimensions)
    return LiveRetriever(first, look=look, open_version=open_version)


def knowledge_tools(
    profile: Profile, environment: Environment, pool: db.Pool, embedder: RemoteEmbedder
) -> Tools:
    """What the Worker needs for the library's jobs."""

    def updater(index: Index) -> Updater:
        tokenizer = environment.models / index.embedder.partition(":")[0] / "tokenizer.json"
        return Updater(
            pool,
            open_store(profile.retrieval, environment, index.name),
            index.name,
            embedder=embedder.of(index.embedder, index.dimensions),
            count=sizer(tokenizer),
            chunking=Chunking.parse(index.chunker),
            signs=profile.signs_of == index.embedder.partition(":")[0],
        )

    def store(collection: str) -> VectorStore:
        return open_store(profile.retrieval, environment, collection)

    return Tools(pool, open_store=store, open_updater=updater, build=builds.build)


def case_handlers(
    profile: Profile, environment: Environment, pool: db.Pool, embedder: RemoteEmbedder
) -> Mapping[str, Handler]:
    """The jobs that keep the vector store's copies of solved cases in step."""
    shelves = CaseShelves(profile, environment, pool, embedder)
    first_line = profile.retrieval.first_line_weight
    return {
        **case_jobs.handlers(pool, shelves),
        **renewing.handlers(pool, shelves, first_line=first_line),
    }


def privacy_handlers(
    profile: Profile, environment: Environment, pool: db.Pool, embedder: RemoteEmbedder
) -> Mapping[str, Handler]:
    """The jobs that erase people, and what has been kept for long enough."""
    return {
        **erasing.handlers(pool, CaseShelves(profile, environment, pool, embedder)),
        **forgetting.handlers(pool, Artefacts(environment.artefacts)),
        **retention.handlers(pool, profile.retention),
    }


class CaseShelves:
    """Implements `Shelves`: one for each embedder of the indexes that are kept up to date."""

    def __init__(
        self, profile: Profile, environment: Environment, pool: db.Pool, embedder: RemoteEmbedder
    ) -> None:
        self._profile = profile
        self._environment = environment
        self._pool = pool
        self._embedder = embedder
        self._open: dict[str, Shelf] = {}

    async def wanted(self) -> list[Shelf]:
        kept = [each for each in await db.read(self._pool, versions.every) if each.status in versions.KEPT]
        kept.sort(key=lambda each: not each.active)
        shelves = [self._shelf(each.embedder, each.dimensions) for each in kept]
        return list({shelf.collection: shelf for shelf in shelves or [self._shelf("", 0)]}.values())

    def _shelf(self, version: str, dimensions: int) -> Shelf:
        collection = case_shelf(self._profile, version)
        if collection not in self._open:
            embedder = self._embedder.of(version, dimensions) if version else self._embedder
            self._open[collection] = Shelf(collection, embedder, self._store(collection))
        return self._open[collection]

    async def drop(self, collection: str) -> None:
        shelf = self._open.pop(collection, None)
        store = shelf.store if shelf else self._store(collection)
        await store.drop()
        await store.close()

    def _store(self, collection: str) -> VectorStore:
        return open_store(self._profile.retrieval, self._environment, collection)


def case_shelf(profile: Profile, embedder: str = "") -> str:
    """Where the cases lie that were embedded as an index of this embedder was; by default the profile's."""
    if not embedder:
        return case_collection(profile.embedder.model, profile.embedder.precision)
    model, precision, _ = parse(embedder)
    return case_collection(model, precision)


async def chat_models(
    providers: Providers, pool: db.Pool, redis: Redis
) -> tuple[Catalogue, list[asyncio.Task[None]]]:
    """The chains of the newest lineup, and what keeps them the newest and their breakers wary."""
    catalogue = providers.catalogue()
    watch = Watch(pool, partial(providers.take_up, catalogue))
    with suppress(db.DatabaseDown):  # begin by the profile's then
        await watch.look()
    hints = Hints(redis, catalogue.breakers)
    return catalogue, [asyncio.create_task(each.run()) for each in (watch, hints)]
