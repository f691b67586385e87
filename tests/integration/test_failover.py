"""Every way a provider can fail, at every token, before the real application.

No hang, nothing said twice unmarked, nothing lost, the right provider billed.

`make failures` writes the table that this makes into docs/LLM_INTEGRATION.md.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, get_args

import httpx
import pytest
from fastapi import FastAPI

from app import db
from models.llm.retries import Retries
from tests import factories
from tests.integration import gateway
from tests.integration.conftest import Browser
from tests.integration.gateway import ANSWER, DEADLINES, Heard
from tests.integration.upstream import TOKENS, USAGE, Failure, Upstream, choice

DOCUMENT = Path(__file__).parents[2] / "docs/LLM_INTEGRATION.md"
BEGIN, END = "<!-- failover: written by tests/integration/test_failover.py -->", "<!-- /failover -->"
ONLY_FIRST = {"context_length", "unauthorised", "wrong_content_type"}
"""What can only come instead of an answer, not in the middle of one."""


@dataclass(frozen=True)
class Case:
    failure: Failure
    at: int


CASES = [
    Case(failure, at)
    for failure in get_args(Failure)
    for at in range(1 if failure in ONLY_FIRST else len(TOKENS) + 1)
]

Ask: TypeAlias = Callable[[httpx.AsyncClient], Awaitable[Heard]]


@dataclass(frozen=True)
class Surface:
    title: str
    ask: Ask
    fallback: Upstream | None
    goes_on: bool = False
    """Whether the first one, which fails once, can be asked to go on itself."""

    def first(self, case: "Case") -> Upstream:
        return Upstream(case.failure, case.at, times=1 if self.goes_on else 1000, continues=self.goes_on)

    def others(self) -> list[Upstream]:
        return [Upstream(continues=self.fallback.continues)] if self.fallback else []


SURFACES = [
    Surface("`/v1`, streamed", gateway.streamed, Upstream()),
    Surface("`/v1`, streamed, fallback continues", gateway.streamed, Upstream(continues=True)),
    Surface("`/v1`, whole", gateway.whole, Upstream()),
    Surface("chat", gateway.asked, Upstream()),
    Surface("`/v1`, streamed, alone", gateway.streamed, None),
    Surface("`/v1`, streamed, alone, fails once and can go on", gateway.streamed, None, goes_on=True),
    Surface("chat, alone", gateway.asked, None),
]


@pytest.fixture
async def agent(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "agent"))


async def outcome(desk: FastAPI, agent: httpx.AsyncClient, case: Case, surface: Surface) -> Heard:
    """One case on one surface, checked for what holds in all of them."""
    first, others = surface.first(case), surface.others()
    async with gateway.providers(first, *others) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        started = time.monotonic()
        async with asyncio.timeout(DEADLINES.total + 1):
            heard = await surface.ask(agent)
        assert time.monotonic() - started < DEADLINES.total
    if not heard.restarts and heard.error is None:
        assert ANSWER.startswith(heard.text) or heard.text.startswith(gateway.NO_MODEL), "repeated or lost"
    if not heard.error and not heard.text.startswith(gateway.NO_MODEL) and heard.finish != "content_filter":
        assert heard.text == ANSWER
    if heard.error:
        assert ANSWER.startswith(heard.text)
        assert heard.text in {"", "".join(TOKENS[: case.at])}
    _billed(heard)
    return heard


def _billed(heard: Heard) -> None:
    """Each provider at its own price: for what it says, or else for what it said, as an estimate."""
    if heard.error or heard.finish == "content_filter" or heard.text != ANSWER:
        return
    usage = heard.done.get("usage") or heard.usage
    assert usage["completion_tokens"] >= USAGE["completion_tokens"]
    if not heard.done:
        return
    attempts = heard.done["attempts"]
    assert attempts[-1]["usage"]["completion_tokens"] == USAGE["completion_tokens"]
    assert usage["completion_tokens"] == sum(each["usage"]["completion_tokens"] for each in attempts)
    for attempt in attempts:
        tokens = sum(attempt["usage"].values())
        price = gateway.PRICES[int(attempt["provider"].removeprefix("p"))]
        assert attempt["cost_usd"] == pytest.approx(price * tokens / 1e6)
        assert attempt["estimated"] == (attempt["outcome"] != "answered" and bool(heard.restarts))
        assert bool(tokens) == (attempt["estimated"] or attempt["outcome"] == "answered")
    assert heard.done["usage_estimated"] == any(each["estimated"] for each in attempts)
    assert heard.done["cost_usd"] == pytest.approx(sum(each["cost_usd"] for each in attempts))


@pytest.mark.long
async def test_every_failure_at_every_token(desk: FastAPI, agent: httpx.AsyncClient) -> None:
    rows: dict[tuple[str, str], dict[str, set[str]]] = {}
    for case in CASES:
        row = rows.setdefault((case.failure, "after text" if case.at else "before"), {})
        for surface in SURFACES:
            heard = await outcome(desk, agent, case, surface)
            row.setdefault(surface.title, set()).add(heard.said)
    table = _table(rows)
    if os.environ.get("ESERVICE_WRITE_DOCS"):
        before, _, after = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table}{END}{after.partition(END)[2]}")
    assert table in DOCUMENT.read_text(), "docs/LLM_INTEGRATION.md says otherwise: `make failures`"


def _table(rows: dict[tuple[str, str], dict[str, set[str]]]) -> str:
    titles = [surface.title for surface in SURFACES]
    lines = [["failure", "when", *titles], ["---"] * (len(titles) + 2)]
    for (failure, when), outcomes in rows.items():
        lines.append([failure.replace("_", " "), when, *(" / ".join(sorted(outcomes[t])) for t in titles)])
    count = len(CASES) * len(SURFACES)
    cells = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"\n{len(CASES)} cases, each on {len(SURFACES)} surfaces: {count} answers.\n\n{cells}\n\n"


async def test_a_short_retry_after_is_waited_for(desk: FastAPI, agent: httpx.AsyncClient) -> None:
    first, second = Upstream("rate_limited", times=1, retry_after="1"), Upstream()
    async with gateway.providers(first, second, retries=Retries(2, ceiling_s=2.0)) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        started = time.monotonic()
        assert (await gateway.streamed(agent)).text == ANSWER
        assert time.monotonic() - started >= 1
    assert len(first.requests) == 2
    assert not second.requests


async def test_a_long_retry_after_goes_to_the_next_or_to_the_caller(
    desk: FastAPI, agent: httpx.AsyncClient
) -> None:
    first = Upstream("rate_limited", retry_after="30")
    async with gateway.providers(first, Upstream(), retries=Retries(2, ceiling_s=2.0)) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        assert (await gateway.streamed(agent)).text == ANSWER
        assert len(first.requests) == 1
    async with gateway.providers(Upstream("rate_limited", retry_after="30")) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        body = {"model": "p0", "messages": [{"role": "user", "content": "x"}]}
        response = await agent.post("/v1/chat/completions", json=body)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "30"


@pytest.mark.parametrize("echo", range(3))
async def test_a_provider_that_goes_on_repeats_nothing(
    desk: FastAPI, agent: httpx.AsyncClient, echo: int
) -> None:
    """Also where it begins with the last tokens again, as long as they are longer than a slip."""
    first, second = Upstream("drop", 5), Upstream(continues=True, echo=echo)
    async with gateway.providers(first, second) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        heard = await gateway.streamed(agent, max_tokens=50)
    assert heard.text == (ANSWER if echo != 1 else ANSWER.replace("choose ", "choose choose "))
    assert second.requests[0]["messages"][-1] == {"role": "assistant", "content": "".join(TOKENS[:5])}
    assert second.requests[0]["max_tokens"] == 45
    assert sum("role" in c["delta"] for e in heard.events for c in e["choices"]) == 1


async def test_an_open_circuit_is_passed_over(desk: FastAPI, agent: httpx.AsyncClient) -> None:
    first, second = Upstream("server_error"), Upstream()
    async with gateway.providers(first, second, retries=Retries()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        heard = [await gateway.streamed(agent) for _ in range(8)]
    assert [h.text for h in heard] == [ANSWER] * 8
    assert len(first.requests) == 5
    assert len(second.requests) == 8


async def test_a_reader_who_leaves_is_noticed_upstream() -> None:
    upstream = Upstream("stall", 2)
    async with gateway.providers(upstream) as catalogue:
        reading = asyncio.create_task(_read(catalogue.start({"model": "p0", "messages": []})))
        await asyncio.sleep(0.15)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(1):
            await upstream.was_dropped.wait()


async def _read(call: object) -> None:
    async for _ in call:  # type: ignore[attr-defined]
        pass


async def test_a_hosted_provider_sees_no_personal_data_and_the_reader_gets_it_back(
    desk: FastAPI, agent: httpx.AsyncClient
) -> None:
    asked = "Mail jane.doe@example.com, or call +49 30 9018200."
    upstream = Upstream(
        choices=[choice({"content": part}) for part in ("To [EM", "AIL", "_1], not ", "[PHONE_2]")]
    )
    upstream.choices.append(choice({}, "stop"))
    async with gateway.providers(upstream, masks=True) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        heard = await gateway.streamed(agent, messages=[{"role": "user", "content": asked}])
        chat = await gateway.asked(agent)
    sent = upstream.requests[0]["messages"][0]["content"]
    assert sent == "Mail [EMAIL_1], or call [PHONE_1]."
    assert heard.text == "To jane.doe@example.com, not [PHONE_2]"
    assert chat.done["attempts"][0]["masked"] == 0
