"""The real application in front of scripted providers, and what a caller of each surface ends up with."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.state import State
from models.agents.answering import NO_MODEL, Answerer, Settings
from models.llm.breaker import Breaker, Tolerance
from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines, Link
from models.llm.openai_compatible import openai
from models.llm.retries import Retries
from models.llm.slots import Slots
from models.prompts.tokens import EstimatedCounter
from models.reranking.protocol import Scores
from tests import factories
from tests.integration.upstream import TOKENS, Upstream, served
from tests.unit.test_answering import FixedRetriever

ANSWER = "".join(TOKENS)
DEADLINES = Deadlines(first_token=0.4, token_gap=0.3, total=4.0)
PRICES = (1.0, 1000.0)
"""USD per million tokens of the first provider and of the second: so that a bill says whose it is."""


@asynccontextmanager
async def providers(
    *upstreams: Upstream,
    retries: Retries | None = None,
    slots: int = 4,
    deadlines: Deadlines = DEADLINES,
    masks: bool = False,
) -> AsyncIterator[Catalogue]:
    """The chain of these upstreams, in this order; each with a breaker that two calls do not open."""
    async with AsyncExitStack() as stack:
        links = []
        for number, upstream in enumerate(upstreams):
            url = await stack.enter_async_context(served(upstream))
            name = f"p{number}"
            client = openai(name, base_url=url, api_key=f"key-{name}", model=name, connect_timeout_s=5)
            links.append(
                Link(
                    client,
                    name,
                    Slots(slots, slots),
                    *(PRICES[number], PRICES[number]),
                    continues=upstream.continues,
                    masks=masks,
                    retries=retries or Retries(1, base_s=0.01, ceiling_s=0.1),
                    breaker=Breaker(Tolerance(least_calls=5)),
                )
            )
        catalogue = Catalogue(links, deadlines)
        stack.push_async_callback(catalogue.close)
        yield catalogue


class NamedReranker:
    """Never asked; `/v1/models` lists it."""

    name = "reranker"

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        raise NotImplementedError


def give(state: State, catalogue: Catalogue) -> None:
    """Let the application answer from `catalogue`, and its assistant from two fixed passages."""
    state.reranker = NamedReranker()
    state.chat_models = catalogue
    state.embedding_tokens = EstimatedCounter()
    state.assistant = Answerer(
        retriever=FixedRetriever(),  # type: ignore[arg-type]
        embedder=factories.WordVectors(),
        chat_models=catalogue,
        counter=EstimatedCounter(),
        settings=Settings(prompt_tokens=700, answer_tokens=50),
    )


@dataclass
class Heard:
    """What one caller got: text as a reader who obeys `restart` ends up with it, and how it ended."""

    text: str = ""
    restarts: int = 0
    error: str | None = None
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def said(self) -> str:
        """In the words of the documentation's table."""
        cut_off = self.error or self.finish == "content_filter"
        text = "text so far" if cut_off else "whole answer"
        if self.text.startswith(NO_MODEL):
            text = "passages, offer of a ticket"
        if self.finish == "content_filter":
            text += ", finish `content_filter`"
        parts = (
            ["restart"] * self.restarts + [text] * bool(self.text) + [f"`{self.error}`"] * bool(self.error)
        )
        return ", then ".join(parts)


async def streamed(client: httpx.AsyncClient, model: str = "p0", **options: Any) -> Heard:
    """POST /v1/chat/completions with `stream`."""
    heard = Heard()
    body = {"model": model, "messages": [{"role": "user", "content": "How do I merge?"}], **options}
    response = await client.post(
        "/v1/chat/completions", json=body | {"stream": True, "stream_options": {"include_usage": True}}
    )
    if response.status_code != 200:
        return Heard(error=f"{response.status_code} {response.json()['error']['code']}")
    assert response.text.endswith("data: [DONE]\n\n")
    for event in _data(response.text):
        heard.events.append(event)
        if "error" in event:
            heard.error = event["error"]["code"]
            continue
        heard.usage = event["usage"] or heard.usage
        for choice in event["choices"]:
            heard.text += choice["delta"].get("content") or ""
            heard.finish = choice["finish_reason"] or heard.finish
    return heard


async def whole(client: httpx.AsyncClient, model: str = "p0") -> Heard:
    """The same without `stream`."""
    body = {"model": model, "messages": [{"role": "user", "content": "How do I merge?"}]}
    response = await client.post("/v1/chat/completions", json=body)
    if response.status_code != 200:
        return Heard(error=f"{response.status_code} {response.json()['error']['code']}")
    choice = response.json()["choices"][0]
    return Heard(choice["message"]["content"], finish=choice["finish_reason"], usage=response.json()["usage"])


async def asked(client: httpx.AsyncClient) -> Heard:
    """A question in a conversation: the assistant's events."""
    heard = Heard()
    conversation = (await client.post("/api/v1/chat/conversations", json={})).json()["id"]
    response = await client.post(
        f"/api/v1/chat/conversations/{conversation}/messages", json={"content": "How do I merge?"}
    )
    assert response.status_code == 200
    for block in response.text.strip().split("\n\n"):
        kind = block.partition("\n")[0].removeprefix("event: ")
        event = _data(block)[0]
        match kind:
            case "delta":
                heard.text += event["text"]
            case "restart":
                heard.text, heard.restarts = "", heard.restarts + 1
            case "error":
                heard.error = event["reason"]
            case "done":
                heard.done = event
    return heard


def _data(text: str) -> Sequence[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
