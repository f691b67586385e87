"""What is kept of answers straight from a model, and how callers are told where they stand."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import db
from app.limits.headers import duration
from app.limits.limiter import Limiter
from app.limits.requests import RequestLimits
from app.usage.recorder import Recorder
from config.limits import LimitSettings, Rate, Rates
from tests import factories
from tests.integration import gateway
from tests.integration.conftest import Browser
from tests.integration.upstream import USAGE, Upstream


@pytest.fixture
async def agent(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "agent"))


async def rows(conn: db.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await conn.fetch("SELECT * FROM llm_calls ORDER BY created_at")]


async def test_every_answer_leaves_a_row(
    desk: FastAPI, agent: httpx.AsyncClient, conn: db.Connection
) -> None:
    recorder: Recorder = desk.state.eservice.usage
    async with gateway.providers(Upstream("drop", 2), Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        await gateway.whole(agent)
        await gateway.streamed(agent, "p1")
        await gateway.streamed(agent)
    assert await rows(conn) == [], "no answer waits for PostgreSQL"
    await recorder.flush()
    whole, streamed, cut = await rows(conn)
    assert (whole["asked"], whole["provider"], whole["streamed"], whole["estimated"]) == (
        "p0",
        "p1",
        False,
        True,
    )
    assert [attempt["outcome"] for attempt in whole["attempts"]] == ["broken", "answered"]
    assert (streamed["prompt_tokens"], streamed["completion_tokens"]) == (20, USAGE["completion_tokens"])
    assert streamed["cost_usd"] == pytest.approx(gateway.PRICES[1] * USAGE["total_tokens"] / 1e6)
    assert streamed["first_token_ms"] <= streamed["total_ms"]
    assert (cut["outcome"], cut["estimated"]) == ("broken", True)
    assert cut["completion_tokens"] > 0


async def test_a_reader_who_leaves_is_billed_by_estimate(
    desk: FastAPI, address: str, key: str, conn: db.Connection
) -> None:
    async with gateway.providers(Upstream("stall", 3)) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        async with openai.AsyncOpenAI(base_url=address, api_key=key, max_retries=0) as client:
            ask: list[Any] = [{"role": "user", "content": "How do I merge?"}]
            stream = await client.chat.completions.create(model="p0", messages=ask, stream=True)
            await anext(aiter(stream))
            await stream.close()
        async with asyncio.timeout(2):
            while not desk.state.eservice.usage._waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await desk.state.eservice.usage.flush()
    [left] = await rows(conn)
    assert (left["outcome"], left["estimated"]) == ("abandoned", True)
    assert left["prompt_tokens"] > 0
    assert left["completion_tokens"] > 0


async def test_what_cannot_be_written_waits_in_its_order(
    desk: FastAPI, agent: httpx.AsyncClient, conn: db.Connection
) -> None:
    recorder: Recorder = desk.state.eservice.usage
    await conn.execute("ALTER TABLE llm_calls RENAME TO elsewhere")
    async with gateway.providers(Upstream(), Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        for model in ("p0", "p1"):
            await gateway.whole(agent, model)
    running = asyncio.create_task(recorder.run(every_s=0.01))
    await asyncio.sleep(0.1)
    assert not running.done()
    await conn.execute("ALTER TABLE elsewhere RENAME TO llm_calls")
    async with asyncio.timeout(5):
        while len(found := await rows(conn)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    running.cancel()
    assert [row["asked"] for row in found] == ["p0", "p1"]


async def test_the_sdk_reads_how_its_caller_stands(
    desk: FastAPI, address: str, key: str, redis: Redis
) -> None:
    slow = Rates(inference=Rate(burst=2, per_minute=1))
    limits = LimitSettings(user=slow)
    settings = desk.state.eservice.profile.model_copy(update={"limits": limits})
    desk.state.limits = RequestLimits(Limiter(redis), settings)
    ask: dict[str, Any] = {"model": "p0", "messages": [{"role": "user", "content": "?"}]}
    async with gateway.providers(Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        async with openai.AsyncOpenAI(base_url=address, api_key=key, max_retries=0) as client:
            first = await client.chat.completions.with_raw_response.create(**ask)
            stream = await client.chat.completions.with_raw_response.create(**ask, stream=True)
            with pytest.raises(openai.RateLimitError) as refused:
                await client.chat.completions.create(**ask)
    last = refused.value.response
    told = [
        [each.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")]
        for each in (first, stream, last)
    ]
    assert told == [["2", "1", "1m0s"], ["2", "0", "2m0s"], ["2", "0", "2m0s"]]
    assert 55 <= int(last.headers["retry-after"]) <= 60
    assert refused.value.type == "rate_limit_error"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0ms"), (0.12, "120ms"), (1, "1s"), (59.2, "1m0s"), (90, "1m30s"), (7500, "2h5m0s")],
)
def test_a_duration_in_openai_s_words(seconds: float, said: str) -> None:
    assert duration(seconds) == said
