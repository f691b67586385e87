"""Two hundred readers who leave at random moments: each provider's server hears of it within a second."""

import asyncio
import random

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
        async with asyncio.timeout(1):
            while upstream.under_way:  # noqa: ASYNC110 - what is measured is when it gets there
                await asyncio.sleep(0.01)
        assert upstream.requests, "some got through before they left"
        upstream.failure = None
        await asyncio.gather(*(_read(catalogue) for _ in range(READERS)))
    assert len(asyncio.all_tasks()) <= tasks


async def _read(catalogue: Catalogue) -> None:
    async for _ in catalogue.start({"model": "p0", "messages": []}):
        pass
