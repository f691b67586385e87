"""Tickets over HTTP, as customers and agents have them."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.jobs.runner import Runner
from app.routing.jobs import handlers
from config.profile import JobSettings
from models.triage.protocol import Triager
from tests import factories
from tests.integration.conftest import Browser

TICKETS = "/api/v1/tickets"
DRAFT = {"subject": "Login refused", "body": "My password is refused since yesterday."}


async def post(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post(TICKETS, json=DRAFT | more)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_ticket_reads_back_as_it_was_created(conn: db.Connection, browser: Browser) -> None:
    client = browser(await factories.person(conn, name="Ada"))
    response = await client.post(
        TICKETS, json=DRAFT | {"priority": "high", "tags": ["mac"], "custom": {"plan": {"seats": 3}}}
    )
    assert response.status_code == 201
    made = response.json()
    assert response.headers["Location"] == f"{TICKETS}/{made['id']}"
    assert response.headers["ETag"] == '"1"'
    assert (await client.get(response.headers["Location"])).json() == made
    assert made["number"] > 1000
    expected = {"status": "new", "priority": "high", "queue": None, "assignee": None, "version": 1}
    assert made | expected == made
    assert (made["tags"], made["custom"], made["customer"]["name"]) == (
        ["mac"],
        {"plan": {"seats": 3}},
        "Ada",
    )


async def test_ticket_event_and_job_are_written_together(conn: db.Connection, browser: Browser) -> None:
    made = await post(browser(await factories.person(conn)))
    job = await conn.fetchrow("SELECT kind, payload FROM jobs")
    assert job is not None
    assert (job["kind"], job["payload"]) == ("triage_ticket", {"ticket_id": made["id"]})
    assert await conn.fetchval("SELECT kind FROM ticket_events WHERE ticket_id = $1", UUID(made["id"]))


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ""},
        {"subject": "   "},
        {"subject": "x" * 301},
        {"body": ""},
        {"body": "x" * 20_001},
        {"subject": "a\x00b"},
        {"body": "a\x00b"},
        {"body": "\ud800"},
        {"priority": "whenever"},
        {"tags": ["x"] * 21},
        {"tags": ["x" * 51]},
        {"tags": ["a\x00"]},
        {"custom": {"a": "\x00"}},
        {"custom": {"a\x00": 1}},
        {"custom": {"a": "x" * 4100}},
        {"custom": {"a": "\ud800"}},
        {"custom": [1]},
        {"misspelt": 1},
    ],
)
async def test_what_cannot_be_kept_is_refused(
    conn: db.Connection, browser: Browser, change: dict[str, Any]
) -> None:
    body, headers = json.dumps(DRAFT | change), {"Content-Type": "application/json"}
    response = await browser(await factories.person(conn)).post(TICKETS, content=body, headers=headers)
    assert response.status_code == 422, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert await conn.fetchval("SELECT count(*) FROM tickets") == 0


async def test_nan_is_refused(conn: db.Connection, browser: Browser) -> None:
    body = '{"subject": "a", "body": "b", "custom": {"x": NaN}}'
    headers = {"Content-Type": "application/json"}
    response = await browser(await factories.person(conn)).post(TICKETS, content=body, headers=headers)
    assert response.status_code == 422


async def test_customers_have_only_their_own(conn: db.Connection, browser: Browser) -> None:
    mine, other = await factories.person(conn), await factories.person(conn)
    made = await post(browser(mine))
    stranger, agent = browser(other), browser(await factories.person(conn, "agent"))
    path = f"{TICKETS}/{made['id']}"
    for suffix in ("", "/messages", "/events"):
        assert (await stranger.get(path + suffix)).status_code == 404
        assert (await agent.get(path + suffix)).status_code == 200
    assert (await stranger.post(f"{path}/messages", json={"body": "hello"})).status_code == 404
    assert (await stranger.post(f"{path}/transitions", json={"to": "closed"})).status_code == 404
    assert (
        await stranger.patch(path, json={"priority": "low"}, headers={"If-Match": "*"})
    ).status_code == 404
    assert (await stranger.get(TICKETS)).json()["items"] == []
    assert len((await agent.get(TICKETS)).json()["items"]) == 1
    assert (await agent.get(f"{TICKETS}/{uuid4()}")).status_code == 404


async def test_without_a_token_there_is_nothing(desk: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk), base_url="http://desk") as client:
        assert (await client.get(TICKETS)).status_code == 401
        assert (await client.post(TICKETS, json=DRAFT)).status_code == 401


async def test_pages_have_every_ticket_once_newest_first(conn: db.Connection, browser: Browser) -> None:
    client = browser(await factories.person(conn))
    made = [(await post(client, subject=f"number {n}"))["id"] for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (
            await client.get(TICKETS, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        await post(client, subject="one more, written while others read")
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_filters(conn: db.Connection, browser: Browser) -> None:
    agent = await factories.agent(conn, "billing")
    standing = await factories.queued_ticket(conn, "billing", agent.id)
    await factories.ticket(conn, priority="urgent")
    client = browser(agent)

    async def ids(**params: str) -> list[str]:
        return [item["id"] for item in (await client.get(TICKETS, params=params)).json()["items"]]

    assert await ids(queue="billing") == [str(standing.id)]
    assert await ids(assignee=str(agent.id), status="new") == [str(standing.id)]
    assert len(await ids(priority="urgent")) == 1
    assert await ids(number=str(standing.number)) == [str(standing.id)]
    assert await ids(number="1") == []
    assert await ids(queue="no such queue") == []
    assert len(await ids(status="new")) == 2
    assert (await client.get(TICKETS, params={"limit": 101})).status_code == 422
    assert (await client.get(TICKETS, params={"cursor": "x"})).status_code == 422
    assert (await client.get(TICKETS, params={"queue": "a\x00"})).status_code == 422


async def test_patching_needs_the_version_that_was_read(conn: db.Connection, browser: Browser) -> None:
    await factories.queue(conn, "billing")
    agent, path = (
        browser(await factories.person(conn, "agent")),
        f"{TICKETS}/{(await factories.ticket(conn)).id}",
    )
    change = {"priority": "urgent", "queue": "billing"}
    assert (await agent.patch(path, json=change)).status_code == 428
    assert (await agent.patch(path, json=change, headers={"If-Match": '"7"'})).status_code == 412
    assert (await agent.patch(path, json=change, headers={"If-Match": 'W/"1"'})).status_code == 412
    patched = await agent.patch(path, json=change, headers={"If-Match": '"1"'})
    assert patched.status_code == 200
    assert patched.headers["ETag"] == '"2"'
    assert patched.json() | change == patched.json()
    assert (await agent.patch(path, json=change, headers={"If-Match": '"1"'})).status_code == 412
    unknown = await agent.patch(path, json={"queue": "nope"}, headers={"If-Match": "*"})
    assert unknown.status_code == 422
    assert (await agent.get(path)).json()["version"] == 2


async def test_customers_do_not_patch(conn: db.Connection, browser: Browser) -> None:
    who = await factories.person(conn)
    made = await factories.ticket(conn, who)
    response = await browser(who).patch(
        f"{TICKETS}/{made.id}", json={"priority": "urgent"}, headers={"If-Match": "*"}
    )
    assert response.status_code == 403


async def test_of_many_patches_of_one_version_one_wins(conn: db.Connection, browser: Browser) -> None:
    agent, made = browser(await factories.person(conn, "agent")), await factories.ticket(conn)
    answers = await asyncio.gather(
        *(
            agent.patch(f"{TICKETS}/{made.id}", json={"subject": f"take {n}"}, headers={"If-Match": '"1"'})
            for n in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


async def test_an_illegal_transition_lists_the_legal_ones(conn: db.Connection, browser: Browser) -> None:
    agent, made = browser(await factories.person(conn, "agent")), await factories.ticket(conn)
    path = f"{TICKETS}/{made.id}/transitions"
    assert (await agent.post(path, json={"to": "resolved"})).json()["status"] == "resolved"
    refused = await agent.post(path, json={"to": "pending"})
    assert refused.status_code == 409
    assert refused.json()["legal"] == ["open", "closed"]
    assert (await agent.post(path, json={"to": "open"})).json()["version"] == 3
    kinds = [
        (event["kind"], event["data"].get("to"))
        for event in (await agent.get(f"{TICKETS}/{made.id}/events")).json()["items"]
    ]
    assert kinds == [("created", None), ("status_changed", "resolved"), ("status_changed", "open")]


async def test_of_many_transitions_at_once_one_wins(conn: db.Connection, browser: Browser) -> None:
    agent, made = browser(await factories.person(conn, "agent")), await factories.ticket(conn)
    path = f"{TICKETS}/{made.id}/transitions"
    answers = await asyncio.gather(*(agent.post(path, json={"to": "resolved"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_customers_never_see_notes(conn: db.Connection, browser: Browser) -> None:
    who = await factories.person(conn)
    customer, agent = browser(who), browser(await factories.person(conn, "agent"))
    path = f"{TICKETS}/{(await factories.ticket(conn, who)).id}"
    assert (
        await agent.post(f"{path}/messages", json={"body": "secret", "internal": True})
    ).status_code == 201
    assert (await agent.post(f"{path}/messages", json={"body": "hello"})).status_code == 201
    assert [m["body"] for m in (await customer.get(f"{path}/messages")).json()["items"]] == ["hello"]
    assert len((await agent.get(f"{path}/messages")).json()["items"]) == 2
    events = (await customer.get(f"{path}/events")).json()["items"]
    assert [event["kind"] for event in events] == ["created", "message_added"]
    refused = await customer.post(f"{path}/messages", json={"body": "x", "internal": True})
    assert refused.status_code == 403


async def test_a_customers_reply_reopens_what_waited_for_it(conn: db.Connection, browser: Browser) -> None:
    who = await factories.person(conn)
    customer, agent = browser(who), browser(await factories.person(conn, "agent"))
    path = f"{TICKETS}/{(await factories.ticket(conn, who)).id}"
    await agent.post(f"{path}/transitions", json={"to": "resolved"})
    await customer.post(f"{path}/messages", json={"body": "still broken"})
    assert (await customer.get(path)).json()["status"] == "open"
    await agent.post(f"{path}/transitions", json={"to": "closed"})
    assert (await customer.post(f"{path}/messages", json={"body": "hm"})).status_code == 409


async def test_the_same_key_makes_one_ticket(conn: db.Connection, browser: Browser) -> None:
    client, headers = browser(await factories.person(conn)), {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*(client.post(TICKETS, json=DRAFT, headers=headers) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await conn.fetchval("SELECT count(*) FROM tickets") == 1
    assert await conn.fetchval("SELECT count(*) FROM jobs") == 1
    other = await client.post(TICKETS, json=DRAFT | {"subject": "other"}, headers=headers)
    assert other.status_code == 422
    stranger = browser(await factories.person(conn))
    assert (await stranger.post(TICKETS, json=DRAFT, headers=headers)).json()["id"] != answers[0].json()["id"]


async def test_a_posted_ticket_has_queue_priority_and_assignee_soon(
    pool: db.Pool, conn: db.Connection, browser: Browser, triager: Triager
) -> None:
    for name in ("accounts", "billing", "sync"):
        await factories.agent(conn, name)
    who = await factories.person(conn)
    customer, stop = browser(who), asyncio.Event()
    worker = asyncio.create_task(Runner(pool, handlers(pool, triager), JobSettings()).run(stop))
    path = f"{TICKETS}/{(await post(customer))['id']}"
    try:
        async with asyncio.timeout(5):
            while (seen := (await customer.get(path)).json())["assignee"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await worker
    assert (seen["queue"], seen["intent"], seen["language"]) == ("accounts", "password_reset", "en")
    assert seen["priority"]
    assert seen["triage"] is None
    agent = browser(await factories.person(conn, "agent"))
    assert (await agent.get(path)).json()["triage"]["version"] == "test-1"


async def test_the_document_names_every_status(desk: FastAPI) -> None:
    paths = desk.openapi()["paths"]
    assert set(paths[f"{TICKETS}/{{ticket_id}}"]["patch"]["responses"]) >= {
        *("200", "401", "403", "404", "412", "413", "422", "428", "503")
    }
    assert set(paths[f"{TICKETS}/{{ticket_id}}/transitions"]["post"]["responses"]) >= {"200", "404", "409"}
