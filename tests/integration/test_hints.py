"""What one replica finds out about a provider makes another one wary, through a real Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from app import cache
from app.providers.hints import Hints
from models.llm.breaker import Breaker, Tolerance
from models.llm.errors import ProviderError

TOLERANCE = Tolerance(least_calls=3, open_s=1.0)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ProviderError), breaker.call():
            raise ProviderError("broken", "scripted")


async def test_a_dead_provider_costs_the_next_replica_one_answer(redis: Redis) -> None:
    here = {"dead": Breaker(TOLERANCE), "well": Breaker(TOLERANCE)}
    there = {"dead": Breaker(TOLERANCE), "well": Breaker(TOLERANCE)}
    fail(here["dead"], 3)
    await Hints(redis, lambda: here).exchange()
    await Hints(redis, lambda: there).exchange()
    for breaker in there.values():
        assert breaker.state == "closed", "nobody is shut out by hearsay"
        fail(breaker, 1)
    assert (there["dead"].state, there["well"].state) == ("open", "closed")


async def test_the_hint_goes_when_the_circuit_may_be_probed_again(redis: Redis) -> None:
    here, there = {"dead": Breaker(TOLERANCE)}, {"dead": Breaker(TOLERANCE)}
    fail(here["dead"], 3)
    await Hints(redis, lambda: here).exchange()
    await asyncio.sleep(TOLERANCE.open_s + 0.05)
    await Hints(redis, lambda: there).exchange()
    fail(there["dead"], 1)
    assert there["dead"].state == "closed"


async def test_without_redis_it_goes_on() -> None:
    away = cache.connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    task = asyncio.create_task(Hints(away, lambda: {"one": Breaker()}).run(every_s=0.01))
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
