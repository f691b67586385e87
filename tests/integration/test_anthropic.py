"""Anthropic's provider before a scripted server of the Messages API, both checked by its own types."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from pydantic import TypeAdapter

from models.llm.anthropic import Anthropic
from models.llm.anthropic_request import ANSWER, translated
from models.llm.chain import ChainCall, Link
from models.llm.errors import ProviderError
from models.llm.protocol import Chunk, Usage
from models.llm.slots import Slots
from tests.integration.upstream import served
from tests.unit.scripted import DEADLINES, Scripted, link

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
REQUESTS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}},
}
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "How?"}]}


def text(*texts: str, index: int = 0) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": t}}
            for t in texts
        ),
        {"type": "content_block_stop", "index": index},
    ]


def tool(name: str, *parts: str, index: int = 0) -> list[dict[str, Any]]:
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def message(*blocks: list[dict[str, Any]], stop: str = "end_turn") -> list[dict[str, Any]]:
    """A whole answer, as the documentation's examples have it."""
    start = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 1, "cache_read_input_tokens": 5},
    }
    return [
        {"type": "message_start", "message": start},
        {"type": "ping"},
        *(event for block in blocks for event in block),
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


class Messages:
    """Answers with these events; checks what it takes and what it says against the SDK's types."""

    def __init__(self, events: Sequence[Any] = (), *, status: int = 200, error: Any = None) -> None:
        self.events = events
        self.status = status
        self.error = error
        self.body: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.path == "/v1/messages"
        self.body, self.headers = await request.json(), dict(request.headers)
        REQUESTS.validate_python(self.body)
        if self.status != 200:
            return web.json_response({"type": "error", "error": self.error}, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in self.events:
            if event["type"] not in {"ping", "error", "news"}:
                EVENTS.validate_python(event)
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response


@asynccontextmanager
async def provider(server: Messages) -> AsyncIterator[Anthropic]:
    async with served(server) as url:
        client = Anthropic(
            "anthropic", api_key="k", model="claude", max_tokens=60, connect_timeout_s=1, base_url=url
        )
        try:
            yield client
        finally:
            await client.close()


async def heard(server: Messages, request: dict[str, Any] = ASK) -> list[Chunk]:
    async with provider(server) as client:
        return [chunk async for chunk in client.stream({"model": "x", **request})]


def deltas(chunks: list[Chunk]) -> list[dict[str, Any]]:
    return [chunk.raw["choices"][0]["delta"] for chunk in chunks]


async def test_text_usage_and_finish() -> None:
    server = Messages(message(text("Open ", "the copy.")))
    system = {"role": "system", "content": "Be brief."}
    chunks = await heard(
        server, {"messages": [system, *ASK["messages"]], "temperature": 1.5, "stop": ["\n", "END"]}
    )
    assert "".join(chunk.text for chunk in chunks) == "Open the copy."
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage == Usage(25, 7), "what the cache held was read, too"
    assert server.headers["x-api-key"] == "k"
    assert server.headers["anthropic-version"] == "2023-06-01"
    assert server.body["system"] == "Be brief."
    assert server.body["max_tokens"] == 60
    assert server.body["temperature"] == 1.0
    assert server.body["stop_sequences"] == ["END"]


async def test_tool_calls_come_in_openai_s_form() -> None:
    calls = [tool("find", '{"a"', ": 1}", index=1), tool("find", "{}", index=2)]
    server = Messages(message(text("Let me look."), *calls, stop="tool_use"))
    choice = {"type": "function", "function": {"name": "find"}}
    chunks = await heard(
        server, {**ASK, "tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    )
    parts = [part for delta in deltas(chunks) for part in delta.get("tool_calls", ())]
    assert [part["index"] for part in parts] == [0, 0, 0, 1, 1]
    assert parts[0]["id"] == "toolu_1"
    assert parts[0]["function"] == {"name": "find", "arguments": ""}
    assert "".join(part["function"]["arguments"] for part in parts[:3]) == '{"a": 1}'
    assert chunks[-1].finish_reason == "tool_calls"
    assert server.body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    assert server.body["tool_choice"] == {"type": "tool", "name": "find", "disable_parallel_tool_use": True}


async def test_a_json_schema_is_a_tool_whose_arguments_are_the_answer() -> None:
    schema = {"type": "object", "properties": {"queue": {"type": "string"}}, "required": ["queue"]}
    server = Messages(message(tool(ANSWER, '{"queue": ', '"sync"}'), stop="tool_use"))
    form = {"type": "json_schema", "json_schema": {"name": "triage", "schema": schema}}
    chunks = await heard(server, {**ASK, "response_format": form})
    assert json.loads("".join(chunk.text for chunk in chunks)) == {"queue": "sync"}
    assert chunks[-1].finish_reason == "stop"
    assert server.body["tools"][0]["input_schema"] == schema
    assert server.body["tool_choice"] == {"type": "tool", "name": ANSWER}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("refusal", "content_filter"),
        ("tool_use", "stop"),
    ],
)
async def test_why_it_stopped(stop: str, finish: str) -> None:
    assert (await heard(Messages(message(text("x"), stop=stop))))[-1].finish_reason == finish


async def test_thinking_and_what_is_unknown() -> None:
    thought = [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "news"},
    ]
    chunks = await heard(Messages(message(thought, text("Yes.", index=1))))
    assert {"reasoning_content": "Hm."} in deltas(chunks)
    assert "".join(chunk.text for chunk in chunks) == "Yes."


@pytest.mark.parametrize(
    ("status", "kind", "words", "reason"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", "context_length"),
        (400, "invalid_request_error", "messages: roles must alternate", "rejected"),
        (401, "authentication_error", "invalid x-api-key", "misconfigured"),
        (413, "request_too_large", "Request exceeds the maximum size", "context_length"),
        (429, "rate_limit_error", "slow down", "rate_limited"),
        (500, "api_error", "oops", "broken"),
        (529, "overloaded_error", "Overloaded", "rate_limited"),
    ],
)
async def test_errors_as_a_status(status: int, kind: str, words: str, reason: str) -> None:
    with pytest.raises(ProviderError) as failure:
        await heard(Messages(status=status, error={"type": kind, "message": words}))
    assert failure.value.reason == reason
    assert failure.value.detail == words


@pytest.mark.parametrize("at", range(7))
async def test_an_error_or_an_end_in_the_middle(at: int) -> None:
    events = message(text("Open ", "the copy."))[:at]
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ProviderError) as failure:
        await heard(Messages([*events, overloaded]))
    assert failure.value.reason == "rate_limited"
    with pytest.raises(ProviderError) as failure:
        await heard(Messages(events))
    assert failure.value.reason == "broken"


@pytest.mark.parametrize("said", [1, 2, 3])
@pytest.mark.parametrize("space", ["", " "])
async def test_it_goes_on_from_another_provider_s_prefix(said: int, space: str) -> None:
    """Anthropic takes no trailing white space, so that its first word may bring what was already said."""
    rest = ["one ", "two ", "three ", "four"][said:]
    server = Messages(message(text(space + rest[0], *rest[1:])))
    async with provider(server) as client:
        links = [link(Scripted("a", at=said)), Link(client, "claude", Slots(1, 0), continues=True)]
        call = ChainCall(links, {"model": "a", **ASK}, DEADLINES, may_restart=False)
        assert "".join([chunk.text async for chunk in call]) == "one two three four"
    assert server.body["messages"][-1]["role"] == "assistant"
    assert server.body["messages"][-1]["content"][-1]["text"] == "one two three"[: [3, 7, 13][said - 1]]
    assert "continue_final_message" not in server.body


def test_a_round_of_tools_is_translated_as_anthropic_wants_it() -> None:
    calls = [
        {"id": f"call_{i}", "type": "function", "function": {"name": "find", "arguments": '{"n": 1}'}}
        for i in range(2)
    ]
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look."}, image("data:image/png;base64,aaaa")]},
        {"role": "user", "content": [image("https://example.com/a.png")]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0", "content": "nothing"},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a page"}]},
    ]
    request = {"messages": messages, "tools": [TOOL], "tool_choice": "required", "max_tokens": 9}
    body = translated(request, model="claude", max_tokens=60)
    REQUESTS.validate_python(body)
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image", "image"]
    assert body["messages"][1]["content"][0]["input"] == {"n": 1}
    assert [b["tool_use_id"] for b in body["messages"][2]["content"]] == ["call_0", "call_1"]
    assert body["tool_choice"] == {"type": "any"}
    assert body["max_tokens"] == 9


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"role": "tool", "content": "no id"},
    ],
)
def test_what_cannot_be_said_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as failure:
        translated({"messages": [message]}, model="claude", max_tokens=60)
    assert failure.value.reason == "rejected"
