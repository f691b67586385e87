"""LangChain's `ChatOpenAI` and the `llm` command line against the real application: unchanged, over HTTP."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from tests.integration.gateway import ANSWER
from tests.integration.test_openai_sdk import CALL
from tests.integration.upstream import TOKENS, USAGE, Upstream, choice

ASK = "How do I merge?"
LLM = Path(sys.executable).with_name("llm")


class Verdict(BaseModel):
    queue: str
    urgent: bool


@tool
def ticket(id: int) -> str:  # noqa: A002
    """Read a ticket."""
    return f"ticket {id} is open"


@pytest.fixture
def chat(address: str, key: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> ChatOpenAI:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    return ChatOpenAI(model="p0", base_url=address, api_key=SecretStr(key), max_retries=0)


async def test_langchain_asks_and_streams(chat: ChatOpenAI) -> None:
    answer = await chat.ainvoke(ASK)
    assert answer.content == ANSWER
    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata
    assert answer.usage_metadata["total_tokens"] == USAGE["total_tokens"]
    assert [c.content async for c in chat.astream(ASK) if c.content] == list(TOKENS)
    assert (await asyncio.to_thread(chat.invoke, ASK)).content == ANSWER


async def test_langchain_calls_tools_and_goes_on_with_what_they_say(
    chat: ChatOpenAI, upstream: Upstream
) -> None:
    upstream.choices = CALL
    with_tools = chat.bind_tools([ticket])
    called = await with_tools.ainvoke(ASK)
    assert isinstance(called, AIMessage)
    assert called.tool_calls[0]["name"] == "ticket"
    assert called.tool_calls[0]["args"] == {"id": 7}
    upstream.choices = []
    result = ToolMessage(ticket.invoke(called.tool_calls[0]["args"]), tool_call_id=called.tool_calls[0]["id"])
    assert (await with_tools.ainvoke([HumanMessage(ASK), called, result])).content == ANSWER
    assert upstream.requests[-1]["messages"][-1]["content"] == "ticket 7 is open"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_langchain_reads_structured_output(chat: ChatOpenAI, upstream: Upstream, method: Any) -> None:
    said = '{"queue": "sync", "urgent": true}'
    if method == "json_schema":
        upstream.choices = [choice({"content": said}), choice({}, "stop")]
    else:
        function = {"name": "Verdict", "arguments": said}
        call = {"index": 0, "id": "c1", "type": "function", "function": function}
        upstream.choices = [choice({"tool_calls": [call]}), choice({}, "tool_calls")]
    structured = chat.with_structured_output(Verdict, method=method)
    assert await structured.ainvoke(ASK) == Verdict(queue="sync", urgent=True)


async def test_langchain_asks_the_assistant(chat: ChatOpenAI) -> None:
    assistant = chat.model_copy(update={"model_name": "eservice-assistant"})
    assert (await assistant.ainvoke(ASK)).content == ANSWER


async def test_langchain_embeds(address: str, key: str, upstream: Upstream) -> None:
    embeddings = OpenAIEmbeddings(
        model="word-vectors", base_url=address, api_key=SecretStr(key), check_embedding_ctx_length=False
    )
    assert [len(vector) for vector in await embeddings.aembed_documents(["one", "two words"])] == [256, 256]


async def llm(home: Path, *arguments: str) -> str:
    """The `llm` command's output; its settings lie in `home`."""
    process = await asyncio.create_subprocess_exec(
        LLM,
        *arguments,
        env={**os.environ, "LLM_USER_PATH": str(home), "LLM_LOAD_PLUGINS": ""},  # no other models
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
def home(tmp_path: Path, address: str) -> Path:
    """As docs/LLM_INTEGRATION.md says to set it up."""
    models = [
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {address}\n  api_key_name: eservice\n"
        "  supports_tools: true\n  supports_schema: true\n"
        for name in ("p0", "eservice-assistant")
    ]
    (tmp_path / "extra-openai-models.yaml").write_text("".join(models))
    return tmp_path


async def test_the_llm_command_asks(home: Path, key: str, upstream: Upstream) -> None:
    assert (await llm(home, "-m", "p0", "--key", key, ASK)).strip() == ANSWER.strip()
    assert (await llm(home, "-m", "p0", "--key", key, "--no-stream", ASK)).strip() == ANSWER.strip()
    assert (await llm(home, "-m", "eservice-assistant", "--key", key, ASK)).strip() == ANSWER.strip()


async def test_the_llm_command_reads_a_schema(home: Path, key: str, upstream: Upstream) -> None:
    upstream.choices = [choice({"content": '{"queue": "sync", "urgent": true}'}), choice({}, "stop")]
    assert "sync" in await llm(
        home, "-m", "p0", "--key", key, "--no-stream", "--schema", "queue, urgent bool", ASK
    )
    sent = upstream.requests[0]["response_format"]["json_schema"]["schema"]
    assert list(sent["properties"]) == ["queue", "urgent"]
