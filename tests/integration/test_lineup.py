"""`/api/v1/admin/providers` on real PostgreSQL, with two replicas that watch it and scripted providers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import db
from app.providers.watch import Watch
from config import environment, profile
from config.lineup import Lineup
from config.profile import Profile
from deployments import composition
from deployments import providers as providing
from deployments.providers import Providers
from models.llm.catalogue import Catalogue
from models.prompts import tokens
from tests import factories
from tests.integration import gateway
from tests.integration.conftest import Browser
from tests.integration.gateway import ANSWER
from tests.integration.upstream import Upstream, served

PATH = "/api/v1/admin/providers"
KEY = "FIRST_API_KEY"
counter_for = cache(tokens.counter_for)  # one tokenizer for all tests: reading it takes 0.2 s


class Desk:
    """Two replicas of the application's chains, the first of them behind HTTP."""

    def __init__(self, first: Upstream, second: Upstream, urls: list[str], replicas: list[Catalogue]) -> None:
        self.first, self.second = first, second
        self.urls = urls
        self.replicas = replicas

    def provider(self, number: int, **changes: Any) -> dict[str, Any]:
        name = ("first", "second")[number]
        address = {"base_url": self.urls[number], "context_tokens": 1000, "prompt_usd_per_million": 1.0}
        return {"name": name, "kind": "openai_compatible", "model": name, **address, **changes}

    async def heard(self, model: str) -> list[str]:
        """Which replica answers what for `model`."""
        body = {"model": model, "messages": [{"role": "user", "content": "?"}]}
        return ["".join([c.text async for c in each.start(body)]) for each in self.replicas]

    async def taken_up(self, version: int) -> None:
        """Within two seconds of the change, by every replica."""
        async with asyncio.timeout(2):
            while any(each.version != version for each in self.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def only(url: str) -> Profile:
    """The local profile with one provider, at `url`."""
    local = profile.load("test")
    first = {"name": "first", "kind": "openai_compatible", "model": "first", "context_tokens": 1000}
    lineup = {"providers": [first | {"base_url": url, "api_key_env": KEY}], "routes": []}
    return local.model_copy(
        update={
            "llm": type(local.llm).model_validate(local.llm.model_dump() | lineup | {"total_timeout_s": 3})
        }
    )


@pytest.fixture
async def desk_(
    desk: FastAPI, pool: db.Pool, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setenv(KEY, "secret-of-the-first")
    monkeypatch.setattr(providing, "counter_for", counter_for)
    first, second = Upstream(), Upstream()
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(served(each)) for each in (first, second)]
        settings = only(urls[0])
        replicas = []
        for _ in range(2):
            providers = Providers(settings, environment.read(), None)
            catalogue, watching = await composition.chat_models(providers, pool, redis)
            stack.push_async_callback(catalogue.close)
            for task in watching:
                stack.callback(task.cancel)
            replicas.append(catalogue)
        state = desk.state.eservice
        gateway.give(state, replicas[0])
        state.profile, state.open_provider = settings, providers.open
        yield Desk(first, second, urls, replicas)


@pytest.fixture
async def admin(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "admin"))


async def shown(admin: httpx.AsyncClient, name: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = (await admin.get(PATH)).json()["items"]
    return next(item for item in items if item["name"] == name)


async def test_the_profile_s_own_lineup_is_version_0(desk_: Desk, admin: httpx.AsyncClient) -> None:
    response = await admin.get(PATH)
    assert response.headers["etag"] == '"0"'
    body = response.json()
    assert (body["version"], body["version_here"], body["routes"]) == (0, 0, [])
    first = body["items"][0]
    assert (first["name"], first["api_key_env"], first["key_is_set"]) == ("first", KEY, True)
    assert first["state"]["circuit"] == "closed"
    assert "secret-of-the-first" not in response.text


async def test_a_provider_added_at_run_time_is_asked_on_every_replica(
    desk_: Desk, admin: httpx.AsyncClient
) -> None:
    response = await admin.put(f"{PATH}/second", json=desk_.provider(1))
    assert response.json() == {"version": 1}, response.text
    assert len(desk_.second.requests) == 1, "the test request"
    await desk_.taken_up(1)
    assert await desk_.heard("second") == [ANSWER, ANSWER]
    assert len(desk_.second.requests) == 3
    assert (await shown(admin, "second"))["state"]["recent_calls"] == 1


async def test_answers_under_way_end_as_they_began(desk_: Desk, admin: httpx.AsyncClient) -> None:
    """Forty readers while providers come, change and go: nobody loses a word."""
    await admin.put(f"{PATH}/second", json=desk_.provider(1))
    await desk_.taken_up(1)
    changing = asyncio.create_task(_change_often(desk_, admin))
    answers = []
    while not changing.done():
        answers += await asyncio.gather(*(desk_.heard(model) for model in ("first", "second")))
    version = await changing
    await desk_.taken_up(version)
    assert len(answers) > 40
    assert {text for pair in answers for text in pair} == {ANSWER}


async def _change_often(desk: Desk, admin: httpx.AsyncClient) -> int:
    for price in (2.0, 3.0):
        changed = await admin.patch(f"{PATH}/first", json={"prompt_usd_per_million": price})
        await desk.taken_up(changed.json()["version"])
        changed = await admin.patch(f"{PATH}/first", json={"base_url": f"{desk.urls[0]}/v{price:.0f}"})
        await desk.taken_up(changed.json()["version"])
    return int(changed.json()["version"])


async def test_a_replaced_provider_is_closed_when_nobody_needs_it(
    desk_: Desk, admin: httpx.AsyncClient
) -> None:
    """An answer that began before the change goes on reading from the address it began with."""
    desk_.first.failure, desk_.first.at = "stall", 3
    call = desk_.replicas[0].start({"model": "first", "messages": []})
    chunks = aiter(call)
    assert "".join([(await anext(chunks)).text for _ in range(2)])
    await admin.put(f"{PATH}/second", json=desk_.provider(1))
    changed = await admin.delete(f"{PATH}/first")
    await desk_.taken_up(changed.json()["version"])
    assert desk_.first.under_way == 1
    assert await desk_.heard("second") == [ANSWER, ANSWER]
    await chunks.aclose()  # type: ignore[attr-defined]


async def test_a_disabled_provider_is_not_asked(desk_: Desk, admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PATH}/second", json=desk_.provider(1))
    changed = await admin.patch(f"{PATH}/first", json={"enabled": False})
    await desk_.taken_up(changed.json()["version"])
    assert desk_.replicas[0].names() == ["second"]
    assert (await shown(admin, "first"))["state"]["left_out"] == "disabled"
    refused = await admin.patch(f"{PATH}/second", json={"enabled": False})
    assert refused.status_code == 422, "nobody would be left"


async def test_routes_and_their_weights(desk_: Desk, admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PATH}/second", json=desk_.provider(1))
    route = {"name": "cheap", "providers": ["first", "second"], "weights": [0, 1]}
    changed = await admin.put(f"{PATH}/routes/cheap", json=route)
    await desk_.taken_up(changed.json()["version"])
    asked = len(desk_.second.requests)
    assert await desk_.heard("cheap") == [ANSWER, ANSWER]
    assert len(desk_.second.requests) == asked + 2
    assert (await shown(admin, "second"))["routes"] == ["cheap"]
    refused = await admin.delete(f"{PATH}/second")
    assert (refused.status_code, refused.json()["detail"]) == (422, "route cheap: no provider second")
    assert (await admin.delete(f"{PATH}/routes/cheap")).status_code == 200
    assert (await admin.delete(f"{PATH}/routes/cheap")).status_code == 404


async def test_rolling_back_adds_the_older_version_again(desk_: Desk, admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PATH}/second", json=desk_.provider(1))
    await admin.delete(f"{PATH}/first")
    for version, names in ((1, ["first", "second"]), (0, ["first"])):
        changed = (await admin.post(f"{PATH}/versions/{version}/activation")).json()["version"]
        await desk_.taken_up(changed)
        assert [each.names() for each in desk_.replicas] == [names, names]
    history = (await admin.get(f"{PATH}/versions", params={"limit": 3})).json()
    assert [item["version"] for item in history["items"]] == [4, 3, 2]
    assert history["items"][0]["note"] == "version 0 again"
    assert history["items"][0]["made_by"].startswith("admin")
    older = (await admin.get(f"{PATH}/versions", params={"cursor": history["next_cursor"]})).json()
    assert [item["version"] for item in older["items"]] == [1]
    assert (await admin.post(f"{PATH}/versions/99/activation")).status_code == 404


async def test_two_administrators_at_once(desk_: Desk, admin: httpx.AsyncClient) -> None:
    """With `If-Match` the later one is told; without, both changes are kept."""
    etag = (await admin.get(PATH)).headers["etag"]
    changes = [{"prompt_usd_per_million": 5.0}, {"completion_usd_per_million": 6.0}]
    answers = await asyncio.gather(
        *(admin.patch(f"{PATH}/first", json=each, headers={"If-Match": etag}) for each in changes)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    await asyncio.gather(*(admin.patch(f"{PATH}/first", json=each) for each in changes))
    first = await shown(admin, "first")
    assert (first["prompt_usd_per_million"], first["completion_usd_per_million"]) == (5.0, 6.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"base_url": "ftp://example.com"}, "begins with https://"),
        ({"base_url": "https://me:secret@example.com"}, "no user"),
        ({"api_key": "sk-123"}, "Extra inputs"),
        ({"api_key_env": "sk-123"}, "match pattern"),
        ({"api_key_env": "ESERVICE_SECRET_KEY"}, "match pattern"),
        ({"api_key_env": "DATABASE_URL"}, "match pattern"),
        ({"api_key_env": "ABSENT_API_KEY"}, "ABSENT_API_KEY is not set"),
        ({"prompt_usd_per_million": -1}, "greater than or equal"),
        ({"kind": "anthropic"}, "api_key_env"),
        ({"name": "versions"}, "no name"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused_before_it_is_active(
    desk_: Desk, admin: httpx.AsyncClient, wrong: dict[str, Any], words: str
) -> None:
    provider = desk_.provider(1, **wrong)
    response = await admin.put(f"{PATH}/{provider['name']}", json=provider)
    assert response.status_code == 422
    assert words in response.json()["detail"]
    assert (await admin.get(PATH)).json()["version"] == 0


async def test_a_provider_that_does_not_answer_is_refused(desk_: Desk, admin: httpx.AsyncClient) -> None:
    desk_.second.failure = "unauthorised"
    refused = await admin.put(f"{PATH}/second", json=desk_.provider(1))
    assert refused.status_code == 422
    assert refused.json()["reason"] == "misconfigured"
    assert "check=false" in refused.json()["detail"]
    taken = await admin.put(f"{PATH}/second?check=false", json=desk_.provider(1))
    assert taken.json() == {"version": 1}


async def test_plain_http_is_for_the_local_profile_only(
    desk_: Desk, desk: FastAPI, admin: httpx.AsyncClient
) -> None:
    state = desk.state.eservice
    state.profile = state.profile.model_copy(update={"stores": profile.load("prod").stores})
    plain = desk_.provider(1, base_url="http://llm.example.com/v1")
    assert (await admin.put(f"{PATH}/second?check=false", json=plain)).status_code == 422
    state.open_provider = Providers(state.profile, environment.read(), None).open
    with pytest.raises(ValueError, match="plain HTTP"):
        state.open_provider(Lineup.model_validate({"providers": [plain]}).providers[0])


async def test_a_version_of_a_newer_release_is_passed_over(
    desk_: Desk, admin: httpx.AsyncClient, conn: db.Connection, pool: db.Pool
) -> None:
    strange = {"providers": [], "routes": [], "moods": []}
    await conn.execute("INSERT INTO provider_lineups VALUES (1, $1, '', NULL, now())", strange)
    taken: list[int] = []
    watch = Watch(pool, lambda lineup, version: taken.append(version))
    await watch.look()
    await watch.look()
    assert taken == []
    assert (await admin.get(PATH)).status_code == 409
    assert (await admin.post(f"{PATH}/versions/0/activation")).json() == {"version": 2}
    await watch.look()
    assert taken == [2]


@pytest.mark.parametrize("role", ["customer", "agent", "supervisor"])
async def test_only_for_administrators(desk_: Desk, browser: Browser, pool: db.Pool, role: Any) -> None:
    async with db.transaction(pool) as conn:
        client = browser(await factories.person(conn, role))
    answers = [
        await client.get(PATH),
        await client.get(f"{PATH}/versions"),
        await client.put(f"{PATH}/second", json=desk_.provider(1)),
        await client.patch(f"{PATH}/first", json={}),
        await client.delete(f"{PATH}/first"),
        await client.put(f"{PATH}/routes/r", json={"name": "r", "providers": ["first"]}),
        await client.delete(f"{PATH}/routes/r"),
        await client.post(f"{PATH}/versions/0/activation"),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert not desk_.second.requests
