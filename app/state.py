"""What one replica holds for all its requests, and the dependencies that hand it out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, TypeVar, cast

import asyncpg
from fastapi import Depends, Request
from pydantic import BaseModel
from redis.asyncio import Redis

from app import db
from app.errors import AccountGone
from app.events import service as events
from app.events.feed import Feed
from app.events.sinks import invalidator
from app.hot import HotReads
from app.usage.budgets import Book
from app.usage.recorder import Recorder
from app.vault.passing import PassingKey
from config.environment import Environment
from config.lineup import Provider
from config.profile import Profile
from models.agents.protocol import Assistant
from models.embedding.protocol import Embedder
from models.llm.protocol import ChatModels, ChatProvider
from models.prompts.tokens import TokenCounter
from models.reranking.protocol import Reranker
from models.retrieval.protocol import PassageRetriever
from models.triage.protocol import Triager


def _nowhere(provider: Provider) -> ChatProvider:
    raise ValueError("this replica asks no providers")


M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class State:
    profile: Profile
    environment: Environment
    pool: db.Pool
    redis: Redis
    embedder: Embedder
    reranker: Reranker
    retriever: PassageRetriever
    assistant: Assistant
    chat_models: ChatModels
    triager: Triager
    embedding_tokens: TokenCounter
    open_provider: Callable[[Provider], ChatProvider] = _nowhere
    """A client of a provider, whether or not it is active; a `ValueError` says why there is none."""
    background: list[asyncio.Task[None]] = field(default_factory=list)
    """What runs beside the requests; it ends with this replica."""
    usage: Recorder = field(init=False)
    budgets: Book = field(init=False)
    feed: Feed = field(init=False)
    hot: HotReads = field(init=False)

    def __post_init__(self) -> None:
        self.usage = Recorder(self.pool)
        self.budgets = Book(self.pool)
        self.feed = Feed(self.pool, self.profile.events)
        self.hot = HotReads(self.redis, PassingKey(self.pool))

    async def read(
        self,
        key: str,
        tags: Sequence[str],
        kind: type[M],
        load: Callable[[db.Connection], Awaitable[M]],
    ) -> M:
        """A hot read; a connection is taken only where the cache does not have it."""

        async def loaded() -> bytes:
            async with db.transaction(self.pool) as conn:
                return (await load(conn)).model_dump_json().encode()

        return kind.model_validate_json(await self.hot.read(key, tags, loaded))

    async def close(self) -> None:
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        with suppress(db.DatabaseDown):
            await self.usage.flush()
        await self.feed.close()
        await self.pool.close()
        await self.redis.aclose()
        await self.retriever.close()
        await self.chat_models.close()


async def current(request: Request) -> State:
    """Asynchronous, like every dependency here: FastAPI runs a plain function in a thread, 0.3 ms each."""
    return cast(State, request.app.state.eservice)


Current = Annotated[State, Depends(current)]


async def connection(state: Current) -> AsyncIterator[db.Connection]:
    """One request, one transaction, committed before the response is sent (see `scope` below).

    What it changed is forgotten by the cache before the response too: who writes reads their own write.
    """
    with events.touching() as changed:
        try:
            async with db.transaction(state.pool) as conn:
                yield conn
        except asyncpg.ForeignKeyViolationError as error:
            if 'not present in table "users"' in (error.detail or ""):
                raise AccountGone from error  # nothing else names users without looking for them first
            raise
        await state.hot.forget(invalidator.tags(changed), {event.event_id for event in changed})


Transaction = Annotated[db.Connection, Depends(connection, scope="function")]
