"""What one replica holds for all its requests, and the dependencies that hand it out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from redis.asyncio import Redis

from app import db
from app.usage.recorder import Recorder
from config.environment import Environment
from config.lineup import Provider
from config.profile import Profile
from models.agents.protocol import Assistant
from models.embedding.protocol import Embedder
from models.llm.protocol import ChatModels, ChatProvider
from models.prompts.tokens import TokenCounter
from models.reranking.protocol import Reranker
from models.retrieval.retriever import Retriever
from models.triage.protocol import Triager


def _nowhere(provider: Provider) -> ChatProvider:
    raise ValueError("this replica asks no providers")


@dataclass(slots=True)
class State:
    profile: Profile
    environment: Environment
    pool: db.Pool
    redis: Redis
    embedder: Embedder
    reranker: Reranker
    retriever: Retriever
    assistant: Assistant
    chat_models: ChatModels
    triager: Triager
    embedding_tokens: TokenCounter
    open_provider: Callable[[Provider], ChatProvider] = _nowhere
    """A client of a provider, whether or not it is active; a `ValueError` says why there is none."""
    background: list[asyncio.Task[None]] = field(default_factory=list)
    """What runs beside the requests; it ends with this replica."""
    usage: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.usage = Recorder(self.pool)

    async def close(self) -> None:
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        with suppress(db.DatabaseDown):
            await self.usage.flush()
        await self.pool.close()
        await self.redis.aclose()
        await self.retriever.store.close()
        await self.chat_models.close()


def current(request: Request) -> State:
    return cast(State, request.app.state.eservice)


Current = Annotated[State, Depends(current)]


async def connection(state: Current) -> AsyncIterator[db.Connection]:
    """One request, one transaction, committed before the response is sent (see `scope` below)."""
    async with db.transaction(state.pool) as conn:
        yield conn


Transaction = Annotated[db.Connection, Depends(connection, scope="function")]
