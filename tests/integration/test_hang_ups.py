"""Two hundred readers who leave at random moments: each provider's server hears of it within a second."""

import asyncio
import random
from collections.abc import AsyncIterator

import aiohttp
from fastapi import FastAPI

from app import db
from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines
from tests.integration import gateway
from tests.integration.upstream import Upstream

READERS = 200
PATIENT = Deadlines(first_token=10, token_gap=10, total=20)


async def test_nothing_is_left_behind() -> None:
    upstream = Upstream("stall", 3)
    tasks = len(asyncio.all_tasks())
    async with gateway.providers(upstream, slots=READERS, deadlines=PATIENT) as catalogue:
        readers = [asyncio.create_task(_read(catalogue)) for _ in range(READERS)]
        rng = random.Random(7)
        for reader in rng.sample(readers, READERS):
            await asyncio.sleep(rng.random() / 500)
            reader.cancel()
        ends = await asyncio.gather(*readers, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
        await _all_gone(upstream, catalogue)
        assert upstream.requests, "some got through before they left"
        upstream.failure = None
        await asyncio.gather(*(_read(catalogue) for _ in range(READERS)))
    assert len(asyncio.all_tasks()) <= tasks


async def _read(catalogue: Catalogue) -> None:
    async for _ in catalogue.start({"model": "p0", "messages": []}):
        pass


async def _all_gone(upstream: Upstream, catalogue: Catalogue) -> None:
    """Within a second: no request at the provider's server, no slot in use, nobody waiting for one."""
    async with asyncio.timeout(1):
        while upstream.under_way or await _in_use(catalogue):  # noqa: ASYNC110 - when it gets there counts
            await asyncio.sleep(0.01)


async def _in_use(catalogue: Catalogue) -> int:
    return sum(status.in_use + status.waiting for status in (await catalogue.statuses()).values())


async def test_nothing_is_left_behind_over_http(desk: FastAPI, address: str, key: str, pool: db.Pool) -> None:
    """The same through the real application's server: clients that close their connections."""
    upstream = Upstream("stall", 3)
    state = desk.state.eservice
    async with gateway.providers(upstream, slots=READERS, deadlines=PATIENT) as catalogue:
        gateway.give(state, catalogue)
        tasks = len(asyncio.all_tasks())
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            readers = [asyncio.create_task(_listen(session, address)) for _ in range(READERS)]
            rng = random.Random(11)
            await asyncio.sleep(0.3)
            for reader in rng.sample(readers, READERS):
                await asyncio.sleep(rng.random() / 200)
                reader.cancel()
            ends = await asyncio.gather(*readers, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
        await _all_gone(upstream, catalogue)
        async with asyncio.timeout(1):
            while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert upstream.requests, "some got through before they left"
        await state.usage.flush()
        async with pool.acquire() as conn:
            outcomes = await conn.fetch(
                "SELECT outcome, estimated FROM llm_calls WHERE completion_tokens > 0"
            )
        assert all(tuple(row) == ("abandoned", True) for row in outcomes)


async def _listen(session: aiohttp.ClientSession, address: str) -> None:
    body = {"model": "p0", "messages": [{"role": "user", "content": "?"}], "stream": True}
    async with session.post(f"{address}/chat/completions", json=body) as response:
        async for _ in _lines(response):
            pass


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    assert response.status == 200
    async for line in response.content:
        yield line
