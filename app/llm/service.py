"""What stands behind /v1: which models there are, who may use them, and what is kept of an answer."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, NotFound, ServiceError, Unavailable
from app.llm import repository
from app.llm.schemas import ASSISTANT, ChatCompletionIn, ChatMessage, KeptAnswer, ModelCard
from app.state import State
from app.usage.budgets import Reservation
from models.agents.protocol import Question
from models.llm.errors import NoProviderLeft, ProviderError
from models.llm.protocol import Call
from models.prompts.tokens import EstimatedCounter

COUNTER = EstimatedCounter()
"""For what an answer may cost; what it did cost is its provider's own count."""


class ModelNotFound(NotFound):
    """There is no such model; GET /v1/models lists them."""


class ModelForbidden(Forbidden):
    """Customers may use the assistant and the embeddings, not this model."""


class ModelsDown(Unavailable):
    """No provider of this model answers at the moment; try again soon."""


class RateLimited(ServiceError):
    """Every provider of this model refuses more requests at the moment; try again later."""

    status = 429


class RequestRefused(ServiceError):
    """The model refused this request."""

    status = 400


class ContextLengthExceeded(RequestRefused):
    """The messages and the answer asked for are longer than any provider of this model takes."""


class ContentFilter(RequestRefused):
    """The filters of this model's providers stopped the answer."""


def models(state: State) -> list[ModelCard]:
    return [
        ModelCard(id=ASSISTANT, task="chat"),
        *(ModelCard(id=name, task="chat") for name in state.chat_models.names()),
        ModelCard(id=state.embedder.name, task="embedding"),
        ModelCard(id=state.reranker.name, task="rerank"),
    ]


def require(state: State, who: Identity, model: str, task: str) -> None:
    """That there is such a model for that task, and that `who` may use it."""
    card = next((card for card in models(state) if card.id == model and card.task == task), None)
    if card is None:
        raise ModelNotFound(f"There is no {task} model {model!r}; GET /v1/models lists them.", param="model")
    if not who.is_staff and card.id not in {ASSISTANT, state.embedder.name}:
        raise ModelForbidden


def start(state: State, body: ChatCompletionIn) -> Call:
    """An answer straight from a model, its messages and options as the caller gave them."""
    given = body.model_dump(exclude_unset=True, exclude={"stream", "stream_options"})
    request = {key: value for key, value in given.items() if value is not None}
    return state.chat_models.start(request, may_restart=not body.stream)


def failure(error: NoProviderLeft) -> ServiceError:
    """What the caller is told when the last provider has failed."""
    last: ProviderError = error.last
    match last.reason:
        case "context_length":
            return ContextLengthExceeded(last.detail, param="messages")
        case "content_filter":
            return ContentFilter(last.detail)
        case "rejected":
            refused = RequestRefused(last.detail)
            refused.status = last.status or 400
            return refused
        case "rate_limited":
            limited = RateLimited()
            limited.headers = {"Retry-After": str(math.ceil(last.retry_after or 1))}
            return limited
    return ModelsDown()


def within_budget(
    state: State, who: Identity, model: str, messages: Sequence[ChatMessage], most_tokens: int | None
) -> AbstractAsyncContextManager[Reservation]:
    """A reservation of what an answer straight from `model` may cost; free models need none."""
    prompt_price, completion_price = state.chat_models.prices(model)
    most = 0.0
    if prompt_price or completion_price:
        tokens = sum(COUNTER.count(message.text) for message in messages)
        most = prompt_price * tokens + completion_price * (most_tokens or state.profile.llm.max_answer_tokens)
    return state.budgets.reserve(who.id, model, most / 1_000_000)


@asynccontextmanager
async def assistant_within_budget(
    state: State, who: Identity, asked: Question
) -> AsyncIterator[tuple[Question, Reservation]]:
    """The question, to be answered by what the budgets still pay for."""
    model = state.chat_models.default
    prompt_price, completion_price = state.chat_models.prices(model)
    settings = state.profile
    most = prompt_price * settings.assistant.prompt_tokens + completion_price * settings.llm.max_answer_tokens
    async with state.budgets.reserve(who.id, model, most / 1_000_000) as reservation:
        cheaper = reservation.model if reservation.model != model else None
        yield replace(asked, model=cheaper), reservation


async def keep_answer(
    conn: Connection,
    who: Identity,
    message_id: UUID | None,
    question: str,
    answer: str,
    record: dict[str, Any],
) -> None:
    await repository.keep_answer(
        conn, user_id=who.id, message_id=message_id, question=question, answer=answer, record=record
    )


async def kept_answers(
    conn: Connection, before: UUID | None, limit: int, *, outcome: str | None, helpful: bool | None
) -> list[KeptAnswer]:
    return await repository.kept_answers(conn, before, limit, outcome=outcome, helpful=helpful)


async def kept_answer(conn: Connection, answer_id: UUID) -> KeptAnswer | None:
    return await repository.kept_answer(conn, answer_id)


async def recent(conn: Connection, seconds: float) -> dict[str, float]:
    """Key figures of the answers of the last `seconds`."""
    return await repository.recent(conn, seconds)
