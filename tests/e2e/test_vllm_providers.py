"""vLLM's own server as a hosted provider: OpenAI's wire and Anthropic's, spoken by somebody else's code."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from models.llm.anthropic import Anthropic
from models.llm.chain import ChainCall, Deadlines, Link
from models.llm.errors import ProviderError
from models.llm.openai_compatible import OpenAICompatible, openai
from models.llm.slots import Slots
from tests.unit.scripted import Scripted, link

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
MODEL = "smollm2-135m"
PATIENT = Deadlines(first_token=60, token_gap=30, total=120)
COUNT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Count from one to ten in words."}],
    "max_tokens": 24,
    "temperature": 0.0,
}


@pytest.fixture
async def on_openai(vllm: str) -> AsyncIterator[OpenAICompatible]:
    client = openai("vllm", base_url=f"{vllm}/v1", api_key="", model=MODEL, connect_timeout_s=5)
    yield client
    await client.close()


@pytest.fixture
async def on_anthropic(vllm: str) -> AsyncIterator[Anthropic]:
    client = Anthropic("vllm", api_key="", model=MODEL, max_tokens=60, connect_timeout_s=5, base_url=vllm)
    yield client
    await client.close()


async def test_both_wires_give_the_same_answer(on_openai: OpenAICompatible, on_anthropic: Anthropic) -> None:
    first = [chunk async for chunk in on_openai.stream(COUNT)]
    second = [chunk async for chunk in on_anthropic.stream(COUNT)]
    text = "".join(chunk.text for chunk in first)
    assert text
    assert text == "".join(chunk.text for chunk in second)
    assert first[-1].usage == second[-1].usage
    assert (
        {chunk.finish_reason for chunk in first}
        == {chunk.finish_reason for chunk in second}
        == {None, "length"}
    )


@pytest.mark.parametrize("at", [1, 3, 6])
async def test_vllm_goes_on_with_its_own_answer_where_another_died(
    on_openai: OpenAICompatible, at: int
) -> None:
    """A greedy model that continues its own prefix says what it would have said."""
    pieces = [chunk.text async for chunk in on_openai.stream(COUNT) if chunk.text]
    dying = Scripted("a", at=at, words=pieces)
    links = [link(dying), Link(on_openai, MODEL, Slots(1, 0), continues=True)]
    call = ChainCall(links, COUNT, PATIENT, may_restart=False)
    assert "".join([chunk.text async for chunk in call]) == "".join(pieces)
    assert [attempt.outcome for attempt in call.attempts] == ["broken", "answered"]


async def test_both_say_when_the_request_is_too_long(
    on_openai: OpenAICompatible, on_anthropic: Anthropic
) -> None:
    long = {**COUNT, "messages": [{"role": "user", "content": "word " * 3000}]}
    for provider in (on_openai, on_anthropic):
        with pytest.raises(ProviderError) as failure:
            [_ async for _ in provider.stream(long)]
        assert failure.value.reason == "context_length"


async def test_a_json_schema_holds(on_openai: OpenAICompatible) -> None:
    schema = {
        "type": "object",
        "properties": {"queue": {"enum": ["sync", "billing"]}},
        "required": ["queue"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "triage", "schema": schema}}
    chunks = [chunk async for chunk in on_openai.stream({**COUNT, "response_format": form})]
    assert json.loads("".join(chunk.text for chunk in chunks))["queue"] in {"sync", "billing"}
