"""The whole application, for tests that go through every operation: real stores, scripted models."""

import asyncio
import copy
import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import State as Attributes

from app import cache, db
from app.auth import api_keys
from app.auth.schemas import ApiKeyDraft, Identity, Role
from app.auth.scopes import Scope
from app.chat import repository as chat
from app.main import create_app, furnish
from app.state import State
from config import environment, profile
from config.embedded.stores import Addresses
from config.keyring import FixedKeys
from models.prompts.tokens import EstimatedCounter
from models.reranking.protocol import Scores
from models.retrieval.passages import Filters, Retrieval
from models.triage.learnt import LearntTriager
from tests import factories
from tests.integration import gateway
from tests.integration.upstream import Upstream
from tests.unit.test_answering import FixedRetriever

KEYS = FixedKeys.of("a secret for tests, long enough to be one")
ROLES: tuple[Role, ...] = ("customer", "agent", "supervisor", "admin")


class Store:
    name = "milvus"

    async def ping(self) -> bool:
        return True

    async def close(self) -> None:
        return None


class Retriever(FixedRetriever):
    store = Store()

    async def retrieve(
        self,
        query: str,
        *,
        filters: Filters | Awaitable[Filters],
        top_k: int | None = None,
        rerank: bool | None = None,
        without_cases: Sequence[str] = (),
    ) -> Retrieval:
        known = filters if isinstance(filters, Filters) else await filters
        found = await super().retrieve(query, filters=known, top_k=top_k)
        passages = [replace(each, article_id=str(uuid.uuid4())) for each in found.passages]
        return replace(found, passages=tuple(passages))


class Reranker:
    name = "reranker"

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        return np.arange(len(documents), dtype=np.float32)


@dataclass
class World:
    """The application, somebody of each role, and a customer whose things the others try to reach."""

    app: FastAPI
    people: dict[Role, Identity]
    victim: Identity
    things: dict[str, str]
    """Path parameters: the victim's things, or ids of nothing."""
    keys: dict[Role, dict[str, str]]
    """API keys by role: `tickets`, `models`, and so on; each for one area of the API."""

    def token(self, who: Identity) -> str:
        token: str = self.app.state.sessions.tokens.issue(who)
        return token


@functools.cache
def _built() -> FastAPI:
    return create_app(profile.load("test"), cast(Any, None))


def unfurnished() -> FastAPI:
    """The application, nothing hung on it yet. All share the routes of one: making them takes 0.2 s."""
    app = copy.copy(_built())
    app.state, app.middleware_stack = Attributes(), None
    return app


@asynccontextmanager
async def application(database_url: str, redis_url: str, triager: LearntTriager) -> AsyncIterator[FastAPI]:
    """The application on these stores, its one provider scripted."""
    settings = profile.load("test")
    pool = await db.connect(database_url, max_size=10, statement_timeout_s=10)
    redis = cache.connect(redis_url, timeout_s=2)
    app = unfurnished()
    async with gateway.providers(Upstream()) as catalogue:
        state = State(
            profile=settings,
            environment=environment.read({}),
            pool=pool,
            redis=redis,
            embedder=factories.WordVectors(),
            reranker=Reranker(),
            retriever=cast(Any, Retriever()),
            assistant=cast(Any, None),
            chat_models=catalogue,
            triager=triager,
            embedding_tokens=EstimatedCounter(),
        )
        gateway.give(state, catalogue)
        state.reranker = Reranker()
        furnish(app, state, KEYS)
        yield app
    await redis.aclose()
    pool.terminate()


async def populate(app: FastAPI) -> World:
    state: State = app.state.eservice
    async with db.transaction(state.pool) as conn:
        people = {role: await factories.person(conn, role) for role in ROLES}
        victim = await factories.person(conn)
        await factories.queue(conn, "nobodys")
        keys = {role: await _keys(conn, who) for role, who in people.items()}
        return World(app, people, victim, await things(conn, victim), keys)


async def things(conn: db.Connection, owner: Identity) -> dict[str, str]:
    """One of everything that a path can name."""
    conversation = await chat.add(conn, owner.id, "Sync")
    await chat.add_message(conn, conversation.id, "customer", "How do I merge?")
    answer = await chat.add_message(conn, conversation.id, "assistant", "Choose Compare.")
    key = await api_keys.make(conn, owner, ApiKeyDraft(name="theirs", scopes=["tickets:read"]))
    ticket = await factories.ticket(conn, owner)
    nothing = str(uuid.uuid4())
    return {
        "ticket_id": str(ticket.id),
        "conversation_id": str(conversation.id),
        "user_id": str(owner.id),
        "customer_id": str(owner.id),
        "key_id": str(key.id),
        "answer_id": str(answer),
        "kind": "relates_to",
        "name": "nobodys",
        "model": "reranker",
        "version": "1",
        "": nothing,
    }


async def _keys(conn: db.Connection, who: Identity) -> dict[str, str]:
    scopes: tuple[Scope, ...] = ("models", "sla:read")
    return {
        scope: (await api_keys.make(conn, who, ApiKeyDraft(name=scope, scopes=[scope]))).key
        for scope in scopes
    }


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application on a free port, in this loop, where its pool lives."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def migrated(stores: Addresses, template_url: str) -> str:
    """A database of its own for a whole module of tests."""
    from tests.conftest import _administer, _database

    name = f"whole_{uuid.uuid4().hex}"
    await _administer(template_url, f"CREATE DATABASE {name} TEMPLATE {template_url.rpartition('/')[2]}")
    return _database(template_url, name)
