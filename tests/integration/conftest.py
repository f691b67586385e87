"""The real FastAPI application in this process, over HTTP, with the parts that tickets and routing need."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias, cast

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import db
from app.auth.schemas import Identity
from app.main import furnish
from app.state import State
from config import environment, profile
from config.keyring import FixedKeys
from models.triage.learnt import LearntTriager
from tests import factories
from tests.integration import gateway
from tests.integration.upstream import Upstream
from tests.integration.whole import served, unfurnished

Browser: TypeAlias = Callable[[Identity], httpx.AsyncClient]


@pytest.fixture(scope="session")
def triager() -> LearntTriager:
    return LearntTriager(factories.triage_model(), factories.WordVectors())


@pytest.fixture
def desk(pool: db.Pool, redis: Redis, triager: LearntTriager) -> FastAPI:
    """Without retrieval, assistant and LLM: asking for those is an error."""
    settings = profile.load("test")
    absent = cast(Any, None)
    app = unfurnished()
    state = State(
        profile=settings,
        environment=environment.read(),
        pool=pool,
        redis=redis,
        embedder=factories.WordVectors(),
        reranker=absent,
        retriever=absent,
        assistant=absent,
        chat_models=absent,
        triager=triager,
        embedding_tokens=absent,
    )
    furnish(app, state, FixedKeys.of("a secret for tests, long enough to be one"))
    app.state.tokens = app.state.sessions.tokens
    return app


@pytest.fixture
async def browser(desk: FastAPI) -> AsyncIterator[Browser]:
    """A signed-in HTTP client for a person."""
    clients: list[httpx.AsyncClient] = []

    def sign_in(who: Identity) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {desk.state.tokens.issue(who)}"}
        transport = httpx.ASGITransport(desk, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://desk", headers=headers))
        return clients[-1]

    yield sign_in
    for client in clients:
        await client.aclose()


@pytest.fixture
async def address(desk: FastAPI) -> AsyncIterator[str]:
    """The application on a free port, in this loop, where its pool lives."""
    async with served(desk) as url:
        yield f"{url}/v1"


@pytest.fixture
async def key(desk: FastAPI, pool: db.Pool) -> str:
    async with db.transaction(pool) as conn:
        token: str = desk.state.tokens.issue(await factories.person(conn, "agent"))
    return token


@pytest.fixture
async def upstream(desk: FastAPI) -> AsyncIterator[Upstream]:
    """The one provider, `p0`."""
    scripted = Upstream()
    async with gateway.providers(scripted) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        yield scripted
