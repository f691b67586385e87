"""The `openai` package against the real application on the loopback: every way of asking."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.integration.gateway import ANSWER
from tests.integration.upstream import TOKENS, USAGE, Upstream, choice

ASK: list[Any] = [{"role": "user", "content": "How do I merge?"}]
PARAMETERS = {"type": "object", "properties": {"id": {"type": ["integer", "null"], "default": None}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "ticket", "parameters": PARAMETERS}}]
CALL = [
    choice({"role": "assistant", "content": None}),
    choice({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "ticket"}}]}),
    choice({"tool_calls": [{"index": 0, "function": {"arguments": '{"id"'}}]}),
    choice({"tool_calls": [{"index": 0, "function": {"arguments": ": 7}"}}]}),
    choice({}, "tool_calls"),
]


class Verdict(BaseModel):
    queue: str
    urgent: bool


@pytest.fixture
async def client(address: str, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=address, api_key=key, max_retries=0) as made:
        yield made


async def test_sync(address: str, key: str, upstream: Upstream) -> None:
    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=address, api_key=key, max_retries=0) as client:
            whole = client.chat.completions.create(model="p0", messages=ASK)
            stream = client.chat.completions.create(model="p0", messages=ASK, stream=True)
            return whole.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in stream)

    assert await asyncio.to_thread(ask) == (ANSWER, ANSWER)


async def test_stream_with_usage(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    stream = await client.chat.completions.create(
        model="p0", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.model_dump(exclude_unset=True) == USAGE
    assert [chunk.choices[0].delta.role for chunk in chunks[:-1]] == ["assistant"] + [None] * len(TOKENS)
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * len(TOKENS) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


async def test_stream_without_usage(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    stream = await client.chat.completions.create(model="p0", messages=ASK, stream=True)
    assert not any("usage" in chunk.model_fields_set for chunk in [chunk async for chunk in stream])


async def test_options_reach_the_provider_as_they_are(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    options: dict[str, Any] = {
        "stop": ["\n"],
        "seed": 7,
        "temperature": 0.5,
        "tools": TOOLS,
        "tool_choice": "auto",
    }
    await client.chat.completions.create(model="p0", messages=ASK, **options)
    sent = upstream.requests[0]
    assert {name: sent[name] for name in options} == options, "down to the nulls of a tool's schema"
    assert set(sent) == {*options, "model", "messages", "stream", "stream_options"}


async def test_tools(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    upstream.choices = CALL
    answer = await client.chat.completions.create(model="p0", messages=ASK, tools=TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert message.tool_calls
    assert message.tool_calls[0].model_dump(include={"id", "type", "function"}) == {
        "id": "c1",
        "type": "function",
        "function": {"name": "ticket", "arguments": '{"id": 7}'},
    }
    done = {"role": "tool", "tool_call_id": "c1", "content": "open"}
    upstream.choices = []
    again = [*ASK, message.model_dump(exclude_none=True), done]
    answer = await client.chat.completions.create(model="p0", messages=again, tools=TOOLS)
    assert answer.choices[0].message.content == ANSWER
    assert upstream.requests[-1]["messages"][1:] == again[1:]


async def test_tools_streamed(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    upstream.choices = CALL
    async with client.chat.completions.stream(model="p0", messages=ASK, tools=TOOLS) as stream:
        answer = await stream.get_final_completion()
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("c1", "ticket", {"id": 7})
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_structured_output(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    upstream.choices = [
        choice({"content": '{"queue": "sync", '}),
        choice({"content": '"urgent": true}'}, "stop"),
    ]
    answer = await client.chat.completions.parse(model="p0", messages=ASK, response_format=Verdict)
    assert answer.choices[0].message.parsed == Verdict(queue="sync", urgent=True)
    sent = upstream.requests[0]["response_format"]
    assert sent["json_schema"]["schema"]["required"] == ["queue", "urgent"]


@pytest.mark.parametrize("stream", [False, True])
async def test_logprobs(client: openai.AsyncOpenAI, upstream: Upstream, stream: bool) -> None:
    tokens = [{"token": t, "logprob": -0.1, "bytes": None, "top_logprobs": []} for t in TOKENS]
    upstream.choices = [
        {**choice({"content": token["token"]}), "logprobs": {"content": [token], "refusal": None}}
        for token in tokens
    ] + [choice({}, "stop")]
    if stream:
        chunks = await client.chat.completions.create(model="p0", messages=ASK, logprobs=True, stream=True)
        parts = [c.choices[0].logprobs async for c in chunks if c.choices[0].logprobs]
        heard = [token.token for part in parts for token in part.content or ()]
    else:
        answer = await client.chat.completions.create(model="p0", messages=ASK, logprobs=True)
        assert answer.choices[0].logprobs
        heard = [token.token for token in answer.choices[0].logprobs.content or ()]
    assert heard == list(TOKENS)


async def test_raw_response(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    raw = await client.chat.completions.with_raw_response.create(model="p0", messages=ASK)
    assert raw.http_response.status_code == 200
    assert raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content == ANSWER


async def test_the_assistant_answers_with_its_citations(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    answer = await client.chat.completions.create(model="eservice-assistant", messages=ASK)
    assert answer.choices[0].message.content == ANSWER
    assert answer.model_extra
    assert answer.model_extra["citations"]
    with pytest.raises(openai.BadRequestError, match="plain text") as refused:
        await client.chat.completions.create(model="eservice-assistant", messages=ASK, tools=TOOLS)
    assert refused.value.param == "tools"


async def test_models(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    listed = [model.id async for model in client.models.list()]
    assert {"eservice-assistant", "p0"} <= set(listed)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n"),
        ({"stop": list("abcde")}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"tool_choice": "auto"}, None),
        ({"top_logprobs": 2}, None),
        ({"stream_options": {"include_usage": True}}, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_wrong_request_is_openai_s_error(
    client: openai.AsyncOpenAI, upstream: Upstream, wrong: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**({"model": "p0", "messages": ASK} | wrong))
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param is None or refused.value.param.startswith(param or "")
    assert (refused.value.param is None) == (param is None)
    assert not upstream.requests


async def test_errors_are_the_sdk_s_own(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="none", messages=ASK)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="x").chat.completions.create(model="p0", messages=ASK)
    for failure, kind in {
        "context_length": openai.BadRequestError,
        "content_filter": openai.BadRequestError,
        "rate_limited": openai.RateLimitError,
        "server_error": openai.InternalServerError,
    }.items():
        upstream.failure = failure  # type: ignore[assignment]
        with pytest.raises(kind):
            await client.chat.completions.create(model="p0", messages=ASK)


async def test_an_answer_that_breaks_off_is_an_error(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    upstream.failure, upstream.at = "drop", 2
    stream = await client.chat.completions.create(model="p0", messages=ASK, stream=True)
    heard: list[str | None] = []
    with pytest.raises(openai.APIError, match="No provider"):
        await _listen(stream, heard)
    assert heard == list(TOKENS[:2])


async def _listen(stream: AsyncIterator[Any], heard: list[str | None]) -> None:
    async for chunk in stream:
        heard.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the failure counts
