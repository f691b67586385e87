"""Many clients at once over HTTP, through sockets: what one of them may have, exactly one gets."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.auth.schemas import Identity
from tests import factories
from tests.integration.http_server import listening

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

TICKETS = "/api/v1/tickets"


@pytest.fixture
async def address(desk: FastAPI) -> AsyncIterator[str]:
    async with listening(desk) as url:
        yield url


def client(desk: FastAPI, address: str, who: Identity) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {desk.state.tokens.issue(who)}"}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=60)


async def _move(agent: httpx.AsyncClient, path: str, step: str) -> httpx.Response:
    """Again where it was told that nothing was changed: ten connections serve fifty on whatever machine."""
    while (answer := await agent.post(f"{path}/transitions", json={"to": step})).status_code == 503:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return answer


@pytest.mark.timeout(300)
async def test_of_fifty_who_move_a_ticket_one_wins_each_step(
    conn: db.Connection, desk: FastAPI, address: str
) -> None:
    agents = [client(desk, address, await factories.person(conn, "agent")) for _ in range(50)]
    made = await factories.ticket(conn)
    path = f"{TICKETS}/{made.id}"
    steps = ["open", "pending", "open", "on_hold", "resolved", "closed"]
    for step in steps:
        answers = await asyncio.gather(*(_move(agent, path, step) for agent in agents))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}, step
    (ticket, events) = (
        (await agents[0].get(path)).json(),
        (await agents[0].get(f"{path}/events")).json()["items"],
    )
    assert [event["data"].get("to") for event in events if event["kind"] == "status_changed"] == steps
    assert (ticket["status"], ticket["version"]) == ("closed", 1 + len(steps))
    for agent in agents:
        await agent.aclose()


async def test_a_thousand_keys_from_sixteen_clients_with_retries_make_a_thousand_tickets(
    conn: db.Connection, desk: FastAPI, address: str
) -> None:
    """Each key comes from two clients; one request in five is given up halfway and sent again."""
    who = await factories.person(conn)
    keys, rng = [f"key-{n}" for n in range(1000)], random.Random(5)
    seen: dict[str, set[str]] = {key: set() for key in keys}

    async def create(http: httpx.AsyncClient, key: str) -> None:
        draft, headers = {"subject": f"ticket {key}", "body": "once"}, {"Idempotency-Key": key}
        while True:
            wait_s = rng.uniform(0.001, 0.03) if rng.random() < 0.2 else 60
            try:
                answer = await http.post(TICKETS, json=draft, headers=headers, timeout=wait_s)
            except httpx.TransportError:
                continue
            if answer.status_code == 503:
                await asyncio.sleep(0.05)
                continue
            assert answer.status_code == 201, answer.text
            seen[key].add(answer.json()["id"])
            return

    async def use(n: int) -> None:
        mine = [key for place, key in enumerate(keys) if n in {place % 16, (place * 7 + 3) % 16}]
        rng.shuffle(mine)
        async with client(desk, address, who) as http:
            for key in mine:
                await create(http, key)

    await asyncio.gather(*(use(n) for n in range(16)))
    assert {len(ids) for ids in seen.values()} == {1}
    assert await conn.fetchval("SELECT count(*) FROM tickets") == 1000
    assert await conn.fetchval("SELECT count(*) FROM jobs WHERE kind = 'triage_ticket'") == 1000
    assert await conn.fetchval("SELECT count(*) FROM domain_events WHERE kind = 'created'") == 1000


async def test_twenty_agents_who_pull_from_a_queue_never_get_one_twice(
    conn: db.Connection, desk: FastAPI, address: str
) -> None:
    people = [await factories.agent(conn, "billing") for _ in range(20)]
    waiting = {str((await factories.queued_ticket(conn, "billing")).id) for _ in range(80)}
    taken: list[tuple[str, str]] = []
    refused = 0

    async def pull(who: Identity) -> None:
        nonlocal refused
        async with client(desk, address, who) as http:
            while True:
                page: list[dict[str, Any]] = (
                    await http.get(TICKETS, params={"queue": "billing", "status": "new", "limit": 100})
                ).json()["items"]
                free = [ticket["id"] for ticket in page if ticket["assignee"] is None]
                if not free:
                    return
                answer = await http.post(f"{TICKETS}/{free[0]}/assignment", json={"action": "take"})
                assert answer.status_code in {200, 409}, answer.text
                if answer.status_code == 200:
                    taken.append((free[0], str(who.id)))
                refused += answer.status_code == 409

    await asyncio.gather(*(pull(who) for who in people))
    assert Counter(ticket for ticket, _ in taken) == dict.fromkeys(waiting, 1)
    rows = await conn.fetch("SELECT id, assignee_id FROM tickets WHERE assignee_id IS NOT NULL")
    assert {(str(row["id"]), str(row["assignee_id"])) for row in rows} == set(taken)
    assigned = await conn.fetchval("SELECT count(*) FROM ticket_events WHERE kind = 'assigned'")
    print(f"{len(taken)} taken, {refused} refused")
    assert assigned == 80
