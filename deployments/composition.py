"""Puts the parts of `models` and `app` together on a replica, from its profile, environment and handles."""

from dataclasses import fields
from pathlib import Path

from ray.serve.handle import DeploymentHandle
from redis.asyncio import Redis

from app import cache, db
from app.knowledge.library import PostgresLibrary
from config.environment import Environment
from config.profile import LlmSettings, Profile, Provider
from deployments.remote import SelfHosted
from models.embedding.protocol import Embedder
from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines, Link
from models.llm.openai_compatible import OpenAICompatible
from models.llm.protocol import ChatProvider
from models.llm.slots import Slots
from models.reranking.protocol import Reranker
from models.retrieval.milvus import MilvusStore
from models.retrieval.retriever import Retriever, RetrieverSettings


async def open_pool(profile: Profile, environment: Environment) -> db.Pool:
    stores = profile.stores
    return await db.connect(
        environment.require_database_url(),
        max_size=stores.pool_max,
        statement_timeout_s=stores.statement_timeout_s,
    )


def open_redis(profile: Profile, environment: Environment) -> Redis:
    return cache.connect(environment.require_redis_url(), timeout_s=profile.stores.redis_timeout_s)


def retriever(
    profile: Profile, environment: Environment, pool: db.Pool, embedder: Embedder, reranker: Reranker
) -> Retriever:
    settings = profile.retrieval
    return Retriever(
        embedder=embedder,
        store=MilvusStore(
            environment.require_milvus_uri(), collection=settings.collection, timeout_s=settings.timeout_s
        ),
        library=PostgresLibrary(pool, settings.collection),
        reranker=reranker if settings.rerank else None,
        settings=RetrieverSettings(**{f.name: getattr(settings, f.name) for f in fields(RetrieverSettings)}),
    )


def chat_models(settings: LlmSettings, environment: Environment, llm: DeploymentHandle | None) -> Catalogue:
    """The profile's providers in its order; one whose key is missing from the environment is left out."""
    links = []
    for provider in settings.providers:
        if (client := _client(provider, settings, environment, llm)) is not None:
            slots = Slots(settings.max_concurrent, settings.max_waiting)
            links.append(
                Link(
                    client,
                    provider.model,
                    slots,
                    prompt_price=provider.prompt_usd_per_million,
                    completion_price=provider.completion_usd_per_million,
                )
            )
    deadlines = Deadlines(
        settings.first_token_timeout_s, settings.token_gap_timeout_s, settings.total_timeout_s
    )
    return Catalogue(links, deadlines)


def _client(
    provider: Provider, settings: LlmSettings, environment: Environment, llm: DeploymentHandle | None
) -> ChatProvider | None:
    if provider.kind == "self_hosted":
        return SelfHosted(llm, name=provider.name, model=provider.model) if llm else None
    key = environment.api_key(provider.api_key_env) if provider.api_key_env else ""
    if key is None or provider.base_url is None:
        return None
    return OpenAICompatible(
        provider.name,
        base_url=provider.base_url,
        api_key=key,
        model=provider.model,
        connect_timeout_s=settings.connect_timeout_s,
    )


def tokenizer_folder(profile: Profile, environment: Environment) -> Path | None:
    """Where the self-hosted model's own tokenizer lies, if it lies on this machine."""
    engine = profile.llm.engine
    if engine is None:
        return None
    kind, _, name = engine.source.partition(":")
    return environment.models / name if kind == "prepared" else Path(engine.source)
