"""Puts the parts of `models` and `app` together on a replica, from its profile, environment and handles."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ray.serve.handle import DeploymentHandle
from redis.asyncio import Redis

from app import cache, db
from app.knowledge.library import PostgresLibrary
from config.environment import Environment
from config.profile import LlmSettings, Profile, Provider, RouteSettings
from deployments.remote import SelfHosted
from models.embedding.protocol import Embedder
from models.llm import anthropic
from models.llm.anthropic import Anthropic
from models.llm.breaker import Breaker, Tolerance
from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines, Link
from models.llm.openai_compatible import AZURE_DIALECT, azure, openai
from models.llm.protocol import ChatProvider
from models.llm.retries import Retries
from models.llm.routes import Route
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
    links: dict[str, Link] = {}
    for provider in settings.providers:
        if (client := _client(provider, settings, environment, llm)) is not None:
            links[provider.name] = _link(client, provider, settings)
    deadlines = Deadlines(
        settings.first_token_timeout_s, settings.token_gap_timeout_s, settings.total_timeout_s
    )
    routes = [route for each in settings.routes if (route := _route(each, links)).links]
    return Catalogue(list(links.values()), deadlines, routes)


def _link(client: ChatProvider, provider: Provider, settings: LlmSettings) -> Link:
    return Link(
        client,
        provider.model,
        Slots(settings.max_concurrent, settings.max_waiting),
        prompt_price=provider.prompt_usd_per_million,
        completion_price=provider.completion_usd_per_million,
        continues=provider.continues,
        retries=Retries(**settings.retries.model_dump()),
        breaker=Breaker(Tolerance(**settings.breaker.model_dump())),
    )


def _route(route: RouteSettings, links: Mapping[str, Link]) -> Route:
    """What the environment has keys for; without any weight left, the order counts."""
    there = [i for i, name in enumerate(route.providers) if name in links]
    weights = [route.weights[i] for i in there] if route.weights else []
    return Route(route.name, [links[route.providers[i]] for i in there], weights)


def _client(
    provider: Provider, settings: LlmSettings, environment: Environment, llm: DeploymentHandle | None
) -> ChatProvider | None:
    if provider.kind == "self_hosted":
        return SelfHosted(llm, name=provider.name, model=provider.model) if llm else None
    key = environment.api_key(provider.api_key_env) if provider.api_key_env else ""
    url = environment.address(provider.base_url_env) if provider.base_url_env else provider.base_url
    if provider.kind == "anthropic":
        url = url or anthropic.BASE_URL
    if key is None or url is None:
        return None
    wait = settings.connect_timeout_s
    match provider.kind:
        case "anthropic":
            return Anthropic(
                provider.name,
                base_url=url,
                api_key=key,
                model=provider.model,
                max_tokens=settings.max_answer_tokens,
                connect_timeout_s=wait,
            )
        case "azure_openai":
            return azure(
                provider.name,
                base_url=url,
                api_key=key,
                deployment=provider.deployment or provider.model,
                api_version=provider.api_version or AZURE_DIALECT,
                connect_timeout_s=wait,
            )
    return openai(provider.name, base_url=url, api_key=key, model=provider.model, connect_timeout_s=wait)


def tokenizer_folder(profile: Profile, environment: Environment) -> Path | None:
    """Where the self-hosted model's own tokenizer lies, if it lies on this machine."""
    engine = profile.llm.engine
    if engine is None:
        return None
    kind, _, name = engine.source.partition(":")
    return environment.models / name if kind == "prepared" else Path(engine.source)
