"""Anthropic's Messages API, spoken to with OpenAI's requests and chunks.

What it has no word for is left out: `seed`, `logprobs`, `n`, penalties. A JSON schema is asked for as a tool
that the model has to call; its arguments then are the text of the answer.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from models.llm import anthropic_request
from models.llm.errors import ProviderError
from models.llm.http import Address
from models.llm.protocol import ChatRequest, Chunk, Usage
from models.llm.refusals import refused

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Anthropic:
    """Implements `ChatProvider`; `max_tokens` is for requests without a limit, which Anthropic insists on."""

    def __init__(
        self,
        name: str,
        *,
        api_key: str,
        model: str,
        max_tokens: int,
        connect_timeout_s: float,
        base_url: str = BASE_URL,
    ) -> None:
        self.name = name
        self._model = model
        self._max_tokens = max_tokens
        self._address = Address(
            name,
            f"{base_url.rstrip('/')}/v1/messages",
            {"x-api-key": api_key, "anthropic-version": VERSION},
            connect_timeout_s=connect_timeout_s,
        )

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        body = anthropic_request.translated(request, model=self._model, max_tokens=self._max_tokens)
        reading = Reading(anthropic_request.cut_space(request))
        async with aclosing(cast(Any, self._address.lines(body))) as lines:
            async for line in lines:
                if line.startswith("data:"):
                    for chunk in reading.chunks(_event(line[5:])):
                        yield chunk
        if not reading.finished:
            raise ProviderError("broken", "the stream ended in the middle of the answer")

    async def is_up(self) -> bool:
        """A hosted provider is taken to be up until a call says otherwise."""
        return True

    async def close(self) -> None:
        await self._address.close()


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise ProviderError("broken", "the stream holds something that is not JSON") from error
    if not isinstance(event, dict):
        raise ProviderError("broken", "the stream holds JSON that is not an event")
    return event


class Reading:
    """One stream of events, as far as it was read; types of event it does not know are passed over."""

    def __init__(self, cut_space: str = "") -> None:
        self.finished = False
        self._cut_space = cut_space
        self._prompt_tokens = 0
        self._tools = -1
        self._answer_block: int | None = None
        """The block that holds the answer itself, in the arguments of the answering tool."""

    def chunks(self, event: dict[str, Any]) -> Sequence[Chunk]:
        try:
            match event.get("type"):
                case "message_start":
                    return self._start(event["message"])
                case "content_block_start":
                    return self._block(event["index"], event["content_block"])
                case "content_block_delta":
                    return self._delta(event["index"], event["delta"])
                case "message_delta":
                    return self._end(event["delta"], event.get("usage") or {})
                case "error":
                    raise refused(event)
        except (AttributeError, KeyError, TypeError) as error:
            raise ProviderError("broken", "the stream holds an event without its fields") from error
        return ()

    def _start(self, message: dict[str, Any]) -> Sequence[Chunk]:
        self._prompt_tokens = _prompt_tokens(message["usage"])
        return [_chunk({"role": "assistant", "content": ""})]

    def _block(self, index: int, block: dict[str, Any]) -> Sequence[Chunk]:
        if block["type"] == "text":
            return self._text(block.get("text") or "")
        if block["type"] != "tool_use":
            return ()
        if block["name"] == anthropic_request.ANSWER:
            self._answer_block = index
            return ()
        self._tools += 1
        function = {"name": block["name"], "arguments": ""}
        return [_call({"index": self._tools, "id": block["id"], "type": "function", "function": function})]

    def _delta(self, index: int, delta: dict[str, Any]) -> Sequence[Chunk]:
        match delta["type"]:
            case "text_delta":
                return self._text(delta["text"])
            case "thinking_delta":
                return [_chunk({"reasoning_content": delta["thinking"]})]
            case "input_json_delta" if index == self._answer_block:
                return self._text(delta["partial_json"])
            case "input_json_delta":
                return [_call({"index": self._tools, "function": {"arguments": delta["partial_json"]}})]
        return ()

    def _text(self, text: str) -> Sequence[Chunk]:
        while self._cut_space and text.startswith(self._cut_space[0]):  # it was said before, see cut_space
            text, self._cut_space = text[1:], self._cut_space[1:]
        if not text:
            return ()
        self._cut_space = ""
        return [_chunk({"content": text})]

    def _end(self, delta: dict[str, Any], usage: dict[str, Any]) -> Sequence[Chunk]:
        self.finished = True
        finish = FINISH.get(delta.get("stop_reason") or "", "stop")
        if finish == "tool_calls" and self._tools < 0:
            finish = "stop"  # the only tool called was the answer
        prompt = max(self._prompt_tokens, _prompt_tokens(usage))
        return [_chunk({}, finish, Usage(prompt, usage.get("output_tokens") or 0))]


def _prompt_tokens(usage: dict[str, Any]) -> int:
    """All that was read: what the cache held is counted apart."""
    keys = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage.get(key) or 0 for key in keys)


def _call(part: dict[str, Any]) -> Chunk:
    return _chunk({"tool_calls": [part]})


def _chunk(delta: dict[str, Any], finish: str | None = None, usage: Usage | None = None) -> Chunk:
    raw = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return Chunk(text=delta.get("content") or "", raw=raw, finish_reason=finish, usage=usage)
