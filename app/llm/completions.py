"""Chat completions in OpenAI's form: from the assistant, or straight from a model."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import structlog
from anyio import CancelScope

from app import db, streaming
from app.auth import readers
from app.auth.schemas import Identity
from app.errors import Invalid, ServiceError
from app.llm import service
from app.llm.schemas import ASSISTANT, ChatCompletionIn
from app.problems import openai_error
from app.state import State
from app.usage.schemas import use_of
from models.agents.protocol import Event, Question, Turn
from models.llm.continuation import says_something
from models.llm.errors import NoProviderLeft
from models.llm.protocol import Chunk, Usage
from models.retrieval.passages import Filters

log = structlog.get_logger(__name__)


class Piece:
    """A part of an answer before it is put into OpenAI's envelope."""

    __slots__ = ("delta", "extra", "finish", "restart", "usage")

    def __init__(
        self,
        delta: dict[str, Any] | None = None,
        *,
        finish: str | None = None,
        usage: Usage | None = None,
        extra: dict[str, Any] | None = None,
        restart: bool = False,
    ) -> None:
        """`restart`: forget the pieces before; only an answer that is not streamed has any."""
        self.delta = delta or {}
        self.finish = finish
        self.usage = usage
        self.extra = extra or {}
        self.restart = restart


def question(audiences: frozenset[str], body: ChatCompletionIn) -> Question:
    """The last user message, with what was said before it."""
    if not body.wants_plain_text:
        param = "tools" if body.tools else "response_format"
        raise Invalid(f"{ASSISTANT} answers in plain text; ask another model for this.", param=param)
    turns = [Turn(cast(Any, m.role), m.text) for m in body.messages if m.role in {"user", "assistant"}]
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise Invalid("The last message must be the user's question.", param="messages")
    return Question(
        turns[-1].content[:8000],
        tuple(turns[:-1]),
        Filters(audiences=audiences),
        max_tokens=body.limit,
        may_restart=not body.stream,
    )


async def from_assistant(state: State, who: Identity, asked: Question) -> AsyncIterator[Piece]:
    """The assistant's answer; its citations come with the last piece. It is kept, like those in a chat."""
    heard = _Heard()
    async with service.assistant_within_budget(state, who, asked) as (asked, reservation):
        try:
            async with aclosing(cast(Any, state.assistant.answer(asked))) as events:
                async for event in events:
                    if piece := heard.note(event):
                        yield piece
        finally:
            if heard.record is not None:
                reservation.cost_usd = heard.record["cost_usd"]
                with CancelScope(shield=True):
                    async with db.transaction(state.pool) as conn:
                        await service.keep_answer(conn, who, None, asked.content, heard.text, heard.record)


class _Heard:
    """What the assistant has said so far."""

    def __init__(self) -> None:
        self.text = ""
        self.record: dict[str, Any] | None = None
        self._handoff: dict[str, Any] | None = None
        self._citations: list[dict[str, Any]] = []

    def note(self, event: Event) -> Piece | None:
        match event.kind:
            case "delta":
                self.text += event.data["text"]
                return Piece({"content": event.data["text"]})
            case "restart":
                self.text = ""
                return Piece(restart=True)
            case "citation":
                self._citations.append(event.data)
            case "handoff":
                self._handoff = event.data
            case "error":
                raise service.ModelsDown(event.data["detail"])
            case "done":
                self.record = event.data
                extra = {
                    "citations": self._citations,
                    "outcome": self.record["outcome"],
                    "handoff": self._handoff,
                }
                return Piece(finish="stop", usage=Usage(**self.record["usage"]), extra=extra)
        return None


async def from_model(state: State, who: Identity, body: ChatCompletionIn) -> AsyncIterator[Piece]:
    """A model's own answer, piece by piece, as its provider says it.

    The first piece says something, so that a provider's opening words do not cost a failure its status.
    """
    async with service.within_budget(state, who, body.model, body.messages, body.limit) as reservation:
        asked, body.model = body.model, reservation.model  # the answer says which model it is from
        call = service.start(state, body)
        try:
            async with aclosing(cast(Any, aiter(call))) as chunks:
                async for chunk in chunks:
                    if piece := _piece(chunk):
                        yield piece
        except NoProviderLeft as error:
            raise service.failure(error) from error
        finally:
            reservation.cost_usd = call.cost_usd
            state.usage.note(use_of(call, who.id, asked, streamed=body.stream))
    yield Piece(usage=call.usage)


def _piece(chunk: Chunk) -> Piece | None:
    """`None` for a chunk that says nothing to a reader."""
    if chunk.restart:
        return Piece(restart=True)
    if not (says_something(chunk) or chunk.finish_reason):
        return None
    choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
    extra = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
    return Piece(choice.get("delta"), finish=choice.get("finish_reason"), extra=extra)


async def stream(pieces: AsyncIterator[Piece], body: ChatCompletionIn) -> AsyncIterator[bytes]:
    """OpenAI's `chat.completion.chunk`s, ended by [DONE]; an error in the middle ends it as OpenAI does."""
    envelope = _envelope(body.model, "chat.completion.chunk")
    if body.wants_usage:
        envelope["usage"] = None  # on every chunk but the last, as OpenAI has it
    usage = Usage()
    opening: dict[str, Any] = {"role": "assistant", "content": ""}
    try:
        async for piece in pieces:
            usage = piece.usage or usage
            delta = {key: value for key, value in piece.delta.items() if key != "role"}
            if delta or piece.finish:
                logprobs = piece.extra.pop("logprobs", None)
                choice = {
                    "index": 0,
                    "delta": opening | delta,
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
    message = _Message()
    extra: dict[str, Any] = {}
    finish, usage = "stop", Usage()
    async for piece in pieces:
        message = _Message() if piece.restart else message
        message.add(piece)
        finish, usage = piece.finish or finish, piece.usage or usage
        extra |= {key: value for key, value in piece.extra.items() if key != "logprobs"}
    choice = {"index": 0, "message": message.json(), "finish_reason": finish, "logprobs": message.logprobs}
    return (
        _envelope(body.model, "chat.completion") | {"choices": [choice], "usage": usage_json(usage)} | extra
    )


class _Message:
    """An answer put together from its pieces."""

    def __init__(self) -> None:
        self.logprobs: dict[str, Any] | None = None
        self._texts: dict[str, str] = {"content": ""}
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, piece: Piece) -> None:
        for key, value in piece.delta.items():
            if isinstance(value, str) and key != "role":
                self._texts[key] = self._texts.get(key, "") + value
        for call in piece.delta.get("tool_calls") or []:
            _merge_call(self._calls.setdefault(call.get("index", 0), {}), call)
        for key, tokens in (piece.extra.get("logprobs") or {}).items():
            self.logprobs = self.logprobs or {}
            before = self.logprobs.get(key)
            self.logprobs[key] = [*(before or ()), *tokens] if tokens else before

    def json(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "refusal": None, **self._texts}
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
            message["content"] = message["content"] or None
        return message


def _merge_call(whole_call: dict[str, Any], part: dict[str, Any]) -> None:
    """Tool calls come in parts: the name first, the arguments in pieces."""
    whole_call.setdefault("id", part.get("id"))
    whole_call.setdefault("type", "function")
    function = whole_call.setdefault("function", {"name": "", "arguments": ""})
    for key in ("name", "arguments"):
        function[key] += (part.get("function") or {}).get(key) or ""


async def pieces(state: State, who: Identity, body: ChatCompletionIn) -> AsyncIterator[Piece]:
    service.require(state, who, body.model, "chat")
    if body.model == ASSISTANT:
        audiences = await db.read(state.pool, lambda conn: readers.audiences(conn, who))
        return from_assistant(state, who, question(audiences, body))
    return from_model(state, who, body)


def usage_json(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
