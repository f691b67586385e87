"""Chat completions in OpenAI's form: from the assistant, or straight from a model."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import structlog
from anyio import CancelScope

from app import db, streaming
from app.auth.schemas import Identity
from app.errors import Invalid, ServiceError
from app.llm import service
from app.llm.schemas import ASSISTANT, ChatCompletionIn
from app.problems import openai_error
from app.state import State
from models.agents.protocol import Question, Turn
from models.llm.errors import NoProviderLeft
from models.llm.protocol import Usage
from models.retrieval.passages import Filters

log = structlog.get_logger(__name__)


class Piece:
    """A part of an answer before it is put into OpenAI's envelope."""

    __slots__ = ("delta", "extra", "finish", "usage")

    def __init__(
        self,
        delta: dict[str, Any] | None = None,
        *,
        finish: str | None = None,
        usage: Usage | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.delta = delta or {}
        self.finish = finish
        self.usage = usage
        self.extra = extra or {}


def question(who: Identity, body: ChatCompletionIn) -> Question:
    """The last user message, with what was said before it."""
    turns = [Turn(cast(Any, m.role), m.text) for m in body.messages if m.role in {"user", "assistant"}]
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise Invalid("The last message must be the user's question.", param="messages")
    return Question(
        turns[-1].content[:8000],
        tuple(turns[:-1]),
        Filters(audiences=who.audiences),
        max_tokens=body.limit,
        may_restart=False,
    )


async def from_assistant(state: State, who: Identity, asked: Question) -> AsyncIterator[Piece]:
    """The assistant's answer; its citations come with the last piece. It is kept, like those in a chat."""
    text, handoff, record = "", None, None
    citations: list[dict[str, Any]] = []
    try:
        async with aclosing(cast(Any, state.assistant.answer(asked))) as events:
            async for event in events:
                match event.kind:
                    case "delta":
                        text += event.data["text"]
                        yield Piece({"content": event.data["text"]})
                    case "citation":
                        citations.append(event.data)
                    case "handoff":
                        handoff = event.data
                    case "error":
                        raise service.ModelsDown(event.data["detail"])
                    case "done":
                        record = event.data
                        extra = {"citations": citations, "outcome": record["outcome"], "handoff": handoff}
                        yield Piece(finish="stop", usage=Usage(**record["usage"]), extra=extra)
    finally:
        if record is not None:
            with CancelScope(shield=True):
                async with db.transaction(state.pool) as conn:
                    await service.keep_answer(conn, who, None, asked.content, text, record)


async def from_model(state: State, body: ChatCompletionIn) -> AsyncIterator[Piece]:
    """A model's own answer, piece by piece, as its provider says it."""
    call = service.start(state, body)
    try:
        async for chunk in call:
            choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
            extra = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
            if choice:
                yield Piece(choice.get("delta"), finish=choice.get("finish_reason"), extra=extra)
    except NoProviderLeft as error:
        raise service.failure(error) from error
    yield Piece(usage=call.usage)


async def stream(pieces: AsyncIterator[Piece], body: ChatCompletionIn) -> AsyncIterator[bytes]:
    """OpenAI's `chat.completion.chunk`s, ended by [DONE]; an error in the middle ends it as OpenAI does."""
    envelope = _envelope(body.model, "chat.completion.chunk")
    usage = Usage()
    opening: dict[str, Any] = {"role": "assistant", "content": ""}
    try:
        async for piece in pieces:
            usage = piece.usage or usage
            if piece.delta or piece.finish:
                logprobs = piece.extra.pop("logprobs", None)
                choice = {
                    "index": 0,
                    "delta": opening | piece.delta,
                    "finish_reason": piece.finish,
                    "logprobs": logprobs,
                }
                yield streaming.data(envelope | piece.extra | {"choices": [choice]})
                opening = {}
        if body.wants_usage:
            yield streaming.data(envelope | {"choices": [], "usage": usage_json(usage)})
    except ServiceError as error:
        yield streaming.data(openai_error(error))
    except Exception as error:  # nobody above can answer any more
        log.error("an answer broke off", exc_info=error)
        yield streaming.data(openai_error(ServiceError()))
    yield b"data: [DONE]\n\n"


async def whole(pieces: AsyncIterator[Piece], body: ChatCompletionIn) -> dict[str, Any]:
    """The answer in one `chat.completion` object."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    extra: dict[str, Any] = {}
    finish, usage = "stop", Usage()
    calls: dict[int, dict[str, Any]] = {}
    async for piece in pieces:
        message["content"] += piece.delta.get("content") or ""
        for call in piece.delta.get("tool_calls") or []:
            _merge_call(calls.setdefault(call.get("index", 0), {}), call)
        finish, usage = piece.finish or finish, piece.usage or usage
        extra |= {key: value for key, value in piece.extra.items() if key != "logprobs"}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
        message["content"] = message["content"] or None
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return (
        _envelope(body.model, "chat.completion") | {"choices": [choice], "usage": usage_json(usage)} | extra
    )


def _merge_call(whole_call: dict[str, Any], part: dict[str, Any]) -> None:
    """Tool calls come in parts: the name first, the arguments in pieces."""
    whole_call.setdefault("id", part.get("id"))
    whole_call.setdefault("type", "function")
    function = whole_call.setdefault("function", {"name": "", "arguments": ""})
    for key in ("name", "arguments"):
        function[key] += (part.get("function") or {}).get(key) or ""


def pieces(state: State, who: Identity, body: ChatCompletionIn) -> AsyncIterator[Piece]:
    service.require(state, who, body.model, "chat")
    if body.model == ASSISTANT:
        return from_assistant(state, who, question(who, body))
    return from_model(state, body)


def usage_json(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
