"""Every answer is kept with all that made it, and can be asked again."""

import httpx
import pytest
from fastapi import FastAPI

from app import db
from tests import factories
from tests.integration import gateway
from tests.integration.conftest import Browser
from tests.integration.gateway import ANSWER
from tests.integration.upstream import USAGE, Upstream

PATH = "/api/v1/admin/answers"


@pytest.fixture
async def customer(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "customer"))


@pytest.fixture
async def admin(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "admin"))


async def ask(customer: httpx.AsyncClient, conversation: str, question: str) -> None:
    path = f"/api/v1/chat/conversations/{conversation}/messages"
    response = await customer.post(path, json={"content": question})
    assert "event: done" in response.text, response.text


async def test_all_of_it_is_kept(
    desk: FastAPI, customer: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    async with gateway.providers(Upstream("drop", 2), Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        conversation = (await customer.post("/api/v1/chat/conversations", json={})).json()["id"]
        await ask(customer, conversation, "How do I merge?")
        body = {"model": "eservice-assistant", "messages": [{"role": "user", "content": "And whole?"}]}
        await customer.post("/v1/chat/completions", json=body)
    under_v1, kept = (await admin.get(PATH)).json()["items"]
    assert (under_v1["question"], under_v1["message_id"]) == ("And whole?", None)
    assert (kept["question"], kept["answer"], kept["outcome"]) == ("How do I merge?", ANSWER, "answered")
    assert kept["prompt_version"].startswith("answer-")
    assert (kept["model"], kept["provider"], kept["usage_estimated"]) == ("p1", "p1", True)
    assert [attempt["outcome"] for attempt in kept["attempts"]] == ["broken", "answered"]
    assert [passage["score"] for passage in kept["passages"]] == [0.0, 0.0]
    assert {"first_token", "attribution", "total"} <= set(kept["latency_ms"])
    assert kept["completion_tokens"] > USAGE["completion_tokens"]
    assert kept["helpful"] is None
    verdict = {"message_id": kept["message_id"], "helpful": False, "comment": "no"}
    await customer.post(f"/api/v1/chat/conversations/{conversation}/feedback", json=verdict)
    [judged] = (await admin.get(PATH, params={"helpful": False})).json()["items"]
    assert (judged["id"], judged["comment"]) == (kept["id"], "no")
    assert (await admin.get(PATH, params={"outcome": "abstained"})).json()["items"] == []
    first = (await admin.get(PATH, params={"limit": 1})).json()
    second = (await admin.get(PATH, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert second["items"][0]["id"] == kept["id"]
    assert second["next_cursor"] is None


async def test_a_replay_asks_again_with_what_was_said_before(
    desk: FastAPI, customer: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    upstream = Upstream()
    async with gateway.providers(upstream) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        conversation = (await customer.post("/api/v1/chat/conversations", json={})).json()["id"]
        for question in ("How do I merge?", "And on Linux?", "Thank you?"):
            await ask(customer, conversation, question)
        kept = (await admin.get(PATH)).json()["items"][1]
        assert kept["question"] == "And on Linux?"
        asked = upstream.requests[1]
        replayed = (await admin.post(f"{PATH}/{kept['id']}/replay")).json()
        assert upstream.requests[-1]["messages"] == asked["messages"]
        assert replayed["before"]["id"] == kept["id"]
        now = replayed["now"]
        assert (now["answer"], now["same_text"], now["model"]) == (ANSWER, True, "p0")
        assert (now["passages_kept"], now["passages_new"], now["passages_gone"]) == (["c1", "c2"], [], [])
        assert len((await admin.get(PATH)).json()["items"]) == 3, "a replay is not kept"


async def test_only_for_administrators(customer: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    nobody = f"{PATH}/00000000-0000-0000-0000-000000000001"
    for client, status in ((customer, 403), (admin, 404)):
        assert (await client.get(nobody)).status_code == status
        assert (await client.post(f"{nobody}/replay")).status_code == status
    assert (await customer.get(PATH)).status_code == 403
