"""Rate limits in a real Redis, over HTTP, and without Redis."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import cache, db
from app.limits.buckets import Claim, LocalBuckets
from app.limits.limiter import Limiter
from app.limits.requests import RequestLimits
from config import profile
from config.limits import LimitSettings, Rate, Rates
from tests import factories
from tests.integration.conftest import Browser

LITTLE = Rate(burst=3, per_minute=0.6)
Limited: TypeAlias = Callable[..., None]


@pytest.fixture
def limited(desk: FastAPI, redis: Redis) -> Limited:
    """Gives the application these limits; what is not named is generous."""

    def set_limits(client: Redis = redis, **limits: Any) -> None:
        settings = profile.load("test").limits.model_copy(update=limits)
        changed = desk.state.eservice.profile.model_copy(update={"limits": settings})
        desk.state.limits = RequestLimits(Limiter(client), changed)

    return set_limits


@pytest.fixture
async def ann(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "admin"))


async def test_of_many_at_once_exactly_the_burst_is_granted(redis: Redis) -> None:
    limiters = [Limiter(redis) for _ in range(4)]
    rate = Rate(burst=20, per_minute=0.001)
    claims = [Claim("user-reading", "ann", rate), Claim("address-reading", "here", rate)]
    found = await asyncio.gather(*(limiters[i % 4].take(claims) for i in range(100)))
    assert sum(each.allowed for each in found) == 20
    assert {each.remaining for each in found} == set(range(20))


async def test_redis_and_a_replicas_own_buckets_count_alike(redis: Redis) -> None:
    limiter, local = Limiter(redis), LocalBuckets(lambda: 0.0)
    rates = (Rate(burst=4, per_minute=0.001), Rate(burst=7, per_minute=0.001))
    for cost in (1, 3, -2, 1, 2, 9, 1, 1, -9, 4, 1):
        claims = [Claim("p", str(rate.burst), rate, cost) for rate in rates]
        allowed, levels = local.take(claims)
        found = await limiter._from_redis(claims)
        assert found
        assert (found[0], [round(level, 3) for level in found[1]]) == (allowed, levels)


async def test_buckets_do_not_outlive_their_use(redis: Redis) -> None:
    claim = Claim("user-reading", "ann", Rate(burst=10, per_minute=600))
    await Limiter(redis).take([claim])
    assert 100 < await redis.pttl(claim.key) <= 1100


async def test_a_caller_is_told_how_they_stand_and_then_refused(
    limited: Limited, ann: httpx.AsyncClient
) -> None:
    limited(user=Rates(reading=LITTLE))
    answers = [await ann.get("/api/v1/users/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"user-reading";q=3;w=300'
    assert answers[0].headers["ratelimit"] == '"user-reading";r=2;t=200'
    assert answers[3].headers["retry-after"] in {"99", "100"}
    assert answers[3].headers["ratelimit"] == f'"user-reading";r=0;t={answers[3].headers["retry-after"]}'
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert answers[3].json()["type"] == "urn:eservice:rate-limit-exceeded"


async def test_under_v1_the_refusal_is_openais(limited: Limited, ann: httpx.AsyncClient) -> None:
    limited(user=Rates(inference=LITTLE))
    for _ in range(4):
        answer = await ann.post("/v1/rerank", json={})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.headers["retry-after"]


async def test_one_callers_requests_are_not_anothers(
    limited: Limited, browser: Browser, pool: db.Pool
) -> None:
    limited(user=Rates(reading=LITTLE))
    async with db.transaction(pool) as conn:
        ann, bob = [browser(await factories.person(conn)) for _ in range(2)]
    assert [(await ann.get("/api/v1/tickets")).status_code for _ in range(4)][-1] == 429
    assert (await bob.get("/api/v1/tickets")).status_code == 200


async def test_an_address_pays_for_tokens_that_are_refused(
    limited: Limited, browser: Browser, desk: FastAPI
) -> None:
    limited(refused=LITTLE)
    transport = httpx.ASGITransport(desk)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as stranger:
        statuses = [(await stranger.get("/api/v1/tickets")).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert (await stranger.get("/healthz")).status_code == 200


async def test_without_redis_each_replica_counts_for_itself_and_soon_again_with_it(
    limited: Limited, ann: httpx.AsyncClient
) -> None:
    nowhere = cache.connect("redis://127.0.0.1:1/0", timeout_s=0.5)
    limited(nowhere, user=Rates(reading=LITTLE))
    statuses = [(await ann.get("/api/v1/users/me")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    await nowhere.aclose()


def test_every_profile_has_limits() -> None:
    for name in profile.names():
        assert isinstance(profile.load(name).limits, LimitSettings)
