"""Promises over HTTP and through the jobs: clocks start, stand, are kept or broken, each thing once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app import db
from app.auth.schemas import Identity
from app.jobs import repository as jobs
from app.jobs.runner import OnceEffect, Runner
from app.routing import seed as staff
from app.routing import service as routing
from app.sla import repository, service
from app.sla.jobs import SLA_SWEEP, handlers
from app.sla.seed import PromisesError, seed
from app.tickets import desk
from config.environment import CHECKOUT
from config.profile import JobSettings
from tests import factories
from tests.integration.conftest import Browser

SLA = "/api/v1/sla"
TICKETS = "/api/v1/tickets"
WHOLE_DAY = [{"opens": "00:00", "closes": "24:00"}]
ALWAYS = {
    "name": "always",
    "zone": "UTC",
    "week": dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), WHOLE_DAY),
}
POLICY = {
    "name": "all",
    "calendar": "always",
    "first_response_min": 60,
    "next_response_min": 30,
    "resolution_min": 600,
}
DRAFT = {"subject": "Login refused", "body": "My password is refused."}


@pytest.fixture
async def lead(conn: db.Connection, browser: Browser) -> httpx.AsyncClient:
    """A supervisor, who has promised something to everybody."""
    client = browser(await factories.person(conn, "supervisor"))
    assert (await client.post(f"{SLA}/calendars", json=ALWAYS)).status_code == 201
    made = await client.post(f"{SLA}/policies", json=POLICY)
    assert made.status_code == 201, made.text
    return client


async def clocks(client: httpx.AsyncClient, ticket_id: str) -> dict[str, Any]:
    found = (await client.get(f"{TICKETS}/{ticket_id}")).json()["sla"]
    return {promise["kind"]: promise for promise in found}


async def states(client: httpx.AsyncClient, ticket_id: str) -> dict[str, str]:
    return {kind: promise["state"] for kind, promise in (await clocks(client, ticket_id)).items()}


async def opened(client: httpx.AsyncClient, **more: Any) -> str:
    made = await client.post(TICKETS, json=DRAFT | more)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def sweep_at(pool: db.Pool, later: timedelta) -> None:
    async with db.transaction(pool) as conn:
        await service.sweep(conn, datetime.now(UTC) + later)


async def said(conn: db.Connection, ticket_id: str) -> list[tuple[str, str, int]]:
    rows = await conn.fetch(
        "SELECT kind, data FROM ticket_events WHERE ticket_id = $1 AND kind LIKE 'sla%' ORDER BY id",
        UUID(ticket_id),
    )
    return [(row["kind"], row["data"]["clock"], row["data"]["percent"]) for row in rows]


async def test_a_ticket_through_its_promises(
    conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    customer = browser(await factories.person(conn))
    agent = browser(await factories.person(conn, "agent"))
    made = (await customer.post(TICKETS, json=DRAFT)).json()
    ticket, path = made["id"], f"{TICKETS}/{made['id']}"
    assert {p["kind"]: p["state"] for p in made["sla"]} == {
        "first_response": "active",
        "resolution": "active",
    }
    created = datetime.fromisoformat(made["created_at"])
    targets = {p["kind"]: datetime.fromisoformat(p["target_at"]) - created for p in made["sla"]}
    assert targets == {"first_response": timedelta(hours=1), "resolution": timedelta(hours=10)}

    await agent.post(f"{path}/messages", json={"body": "a note", "internal": True})
    assert (await states(agent, ticket))["first_response"] == "active"
    await agent.post(f"{path}/messages", json={"body": "Which browser?"})
    await agent.post(f"{path}/transitions", json={"to": "pending"})
    assert await states(agent, ticket) == {"first_response": "met", "resolution": "paused"}
    assert (await clocks(agent, ticket))["resolution"]["target_at"] is None

    await customer.post(f"{path}/messages", json={"body": "Firefox"})
    now = await states(agent, ticket)
    assert now == {"first_response": "met", "next_response": "active", "resolution": "active"}
    await agent.post(f"{path}/messages", json={"body": "Reset it, please"})
    await agent.post(f"{path}/transitions", json={"to": "resolved"})
    assert set((await states(agent, ticket)).values()) == {"met"}
    await customer.post(f"{path}/transitions", json={"to": "open"})
    assert (await states(customer, ticket))["resolution"] == "active"


async def test_each_mark_is_said_once_however_many_sweep(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    ticket = await opened(browser(await factories.person(conn)))
    for minutes in (10, 31, 46, 55, 61):
        await asyncio.gather(*(sweep_at(pool, timedelta(minutes=minutes)) for _ in range(4)))
    first = [
        (kind, percent) for kind, clock, percent in await said(conn, ticket) if clock == "first_response"
    ]
    warnings = [("sla_warning", percent) for percent in (50, 75, 90)]
    assert first == [*warnings, ("sla_breached", 100)]
    found = await clocks(lead, ticket)
    assert (found["first_response"]["state"], found["first_response"]["warned"]) == ("breached", 100)
    assert found["resolution"]["state"] == "active"


async def test_customers_do_not_read_of_warnings(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    customer = browser(await factories.person(conn))
    ticket = await opened(customer)
    await sweep_at(pool, timedelta(hours=2))
    events = (await customer.get(f"{TICKETS}/{ticket}/events")).json()["items"]
    assert [event["kind"] for event in events] == ["created"]


async def test_what_is_overdue_reads_as_breached_before_anybody_sweeps(
    conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    ticket = await opened(browser(await factories.person(conn)))
    await conn.execute("UPDATE sla_clocks SET target_at = now() - interval '1 s' WHERE kind = 'resolution'")
    assert (await states(lead, ticket))["resolution"] == "breached"


async def test_the_most_specific_policy_counts(
    conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    """More conditions first; among equals the tier, then the queue."""
    await factories.queue(conn, "billing")
    alone = {"first_response_min": None, "next_response_min": None}
    conditions: list[dict[str, Any]] = [
        {"priority": "high"},
        {"queue": "billing"},
        {"tier": "gold"},
        {"queue": "billing", "priority": "high"},
    ]
    for n, condition in enumerate(conditions, 1):
        body = POLICY | alone | {"name": f"p{n}", "resolution_min": n} | condition
        assert (await lead.post(f"{SLA}/policies", json=body)).status_code == 201
    plain, gold = await factories.person(conn), await factories.person(conn)
    assert (await lead.put(f"{SLA}/customers/{gold.id}/tier", json={"tier": "gold"})).status_code == 200

    async def minutes(who: Identity, queue: str | None, priority: str) -> float:
        ticket = await opened(browser(who), priority=priority)
        if queue:
            change = {"queue": queue}
            await lead.patch(f"{TICKETS}/{ticket}", json=change, headers={"If-Match": "*"})
        target: timedelta = await conn.fetchval(
            "SELECT target FROM sla_clocks WHERE ticket_id = $1 AND kind = 'resolution'", UUID(ticket)
        )
        return target / timedelta(minutes=1)

    assert await minutes(plain, None, "low") == 600
    assert await minutes(plain, None, "high") == 1
    assert await minutes(plain, "billing", "low") == 2
    assert await minutes(gold, "billing", "low") == 3
    assert await minutes(gold, None, "high") == 3
    assert await minutes(gold, "billing", "high") == 4


async def test_a_stricter_policy_keeps_what_was_spent(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    strict = POLICY | {"name": "urgent", "priority": "urgent", "first_response_min": 20}
    await lead.post(f"{SLA}/policies", json=strict)
    ticket = await opened(browser(await factories.person(conn)))
    await conn.execute("UPDATE sla_clocks SET since = since - interval '25 minutes'")
    await lead.patch(f"{TICKETS}/{ticket}", json={"priority": "urgent"}, headers={"If-Match": "*"})
    assert (await states(lead, ticket))["first_response"] == "breached"


async def test_escalations_raise_notify_and_reassign(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    await factories.queue(conn, "leads")
    agent = await factories.agent(conn, "billing")
    escalations = [
        {"at": 50, "clock": "first_response", "action": "raise_priority"},
        {"at": 75, "clock": "first_response", "action": "notify_queue", "queue": "leads"},
        {"at": 100, "clock": "first_response", "action": "reassign", "queue": "leads"},
    ]
    policy = (await lead.get(f"{SLA}/policies")).json()["items"][0]
    changed = await lead.put(f"{SLA}/policies/{policy['id']}", json=POLICY | {"escalations": escalations})
    assert changed.status_code == 200, changed.text
    made = await factories.queued_ticket(conn, "billing", agent.id)
    for _ in range(3):
        await sweep_at(pool, timedelta(hours=2))
    ticket = (await lead.get(f"{TICKETS}/{made.id}")).json()
    assert (ticket["priority"], ticket["queue"], ticket["assignee"]) == ("high", "leads", None)
    kinds = [row["kind"] for row in await conn.fetch("SELECT kind FROM jobs WHERE kind <> 'sla_reach'")]
    assert kinds == ["assign_backlog"]
    actions = await conn.fetch(
        "SELECT data->>'action' AS action FROM ticket_events WHERE kind = 'sla_escalated' ORDER BY id"
    )
    assert [row["action"] for row in actions] == ["raise_priority", "notify_queue", "reassign"]


async def test_what_was_answered_is_not_escalated(
    conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    policy = (await lead.get(f"{SLA}/policies")).json()["items"][0]
    escalate = {"escalations": [{"at": 50, "action": "raise_priority"}]}
    await lead.put(f"{SLA}/policies/{policy['id']}", json=POLICY | escalate)
    ticket = await opened(browser(await factories.person(conn)), priority="low")
    await conn.execute(
        "UPDATE sla_clocks SET since = since - interval '45 minutes' WHERE kind = 'first_response'"
    )
    await lead.post(f"{TICKETS}/{ticket}/messages", json={"body": "done"})
    assert [(clock, percent) for _, clock, percent in await said(conn, ticket)] == [
        ("first_response", 50),
        ("first_response", 75),
    ]
    assert (await lead.get(f"{TICKETS}/{ticket}")).json()["priority"] == "low"


async def test_a_sweep_killed_before_its_commit_and_repeated_says_everything_once(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    ticket = await opened(browser(await factories.person(conn)))

    async def dies() -> None:
        async with db.transaction(pool) as doomed:
            await service.sweep(doomed, datetime.now(UTC) + timedelta(minutes=35))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await dies()
    assert await said(conn, ticket) == []
    await sweep_at(pool, timedelta(minutes=35))
    assert await said(conn, ticket) == [("sla_warning", "first_response", 50)]


async def test_one_sweep_at_a_time(pool: db.Pool, lead: httpx.AsyncClient) -> None:
    async with db.transaction(pool) as first, db.transaction(pool) as second:
        assert await repository.take_sweep(first)
        assert not await repository.take_sweep(second)


async def test_workers_sweep_by_themselves(
    pool: db.Pool, conn: db.Connection, browser: Browser, lead: httpx.AsyncClient
) -> None:
    """Two runners; the schedule queues one job a round, whoever sees it first."""
    ticket = await opened(browser(await factories.person(conn)))
    await conn.execute("UPDATE sla_clocks SET since = since - interval '2 hours', next_at = now()")
    stop = asyncio.Event()
    fast = JobSettings(poll_s=0.01)
    runners = [asyncio.create_task(Runner(pool, handlers(), fast).run(stop)) for _ in range(2)]
    async with asyncio.timeout(10):
        while not await said(conn, ticket):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*runners)
    assert len(await said(conn, ticket)) == 4
    assert await conn.fetchval("SELECT count(*) FROM jobs WHERE kind = $1", SLA_SWEEP) == 1


async def test_runners_leave_schedules_that_they_do_not_know(pool: db.Pool, conn: db.Connection) -> None:
    async with db.transaction(pool) as running:
        await jobs.add_scheduled(running, ["something else"])
    assert await conn.fetchval("SELECT count(*) FROM jobs") == 0


async def test_a_full_sweep_asks_for_another(
    pool: db.Pool, conn: db.Connection, lead: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SWEEP_BATCH", 2)
    for _ in range(3):
        await factories.ticket(conn)
    await conn.execute("DELETE FROM jobs")
    await conn.execute("UPDATE sla_clocks SET since = since - interval '2 hours', next_at = now()")
    async with db.transaction(pool) as scheduling:
        await jobs.add_scheduled(scheduling, [SLA_SWEEP])
    for _ in range(2):
        async with db.transaction(pool) as taking:
            (job,) = await jobs.take(taking, limit=1, lease_s=60)
        await handlers()[SLA_SWEEP](job, OnceEffect(pool, job))
    assert await conn.fetchval("SELECT count(*) FROM ticket_events WHERE kind = 'sla_breached'") == 3
    assert await conn.fetchval("SELECT count(*) FROM jobs WHERE status <> 'done'") == 0


async def test_a_short_promise_goes_to_who_is_free_a_long_one_to_who_knows(
    pool: db.Pool, conn: db.Connection, lead: httpx.AsyncClient
) -> None:
    expert = await factories.agent(conn, "billing", skills={"billing": 5}, capacity=9)
    idle = await factories.agent(conn, "billing", capacity=9)
    for _ in range(2):
        await factories.queued_ticket(conn, "billing", expert.id)

    async def assigned() -> UUID | None:
        made = await factories.queued_ticket(conn, "billing")
        async with db.transaction(pool) as routing_:
            found = await desk.lock(routing_, made.id)
            assert found
            assert await routing.assign(routing_, found) is None
            given = await desk.read(routing_, made.id)
        return given.assignee.id if given and given.assignee else None

    assert await assigned() == idle.id
    await conn.execute("DELETE FROM sla_clocks")
    await conn.execute("UPDATE sla_policies SET first_response_min = 6000, resolution_min = 9000")
    assert await assigned() == expert.id


@pytest.mark.parametrize("role", ["customer", "agent"])
async def test_promises_are_made_by_supervisors(
    conn: db.Connection, browser: Browser, role: Any, lead: httpx.AsyncClient
) -> None:
    client, one = browser(await factories.person(conn, role)), uuid4()
    assert (await client.get(f"{SLA}/policies")).status_code == 403
    assert (await client.get(f"{SLA}/calendars")).status_code == 403
    assert (await client.post(f"{SLA}/policies", json=POLICY)).status_code == 403
    assert (await client.post(f"{SLA}/calendars", json=ALWAYS)).status_code == 403
    assert (await client.put(f"{SLA}/policies/{one}", json=POLICY)).status_code == 403
    assert (await client.put(f"{SLA}/calendars/{one}", json=ALWAYS)).status_code == 403
    assert (await client.put(f"{SLA}/customers/{one}/tier", json={"tier": "x"})).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"zone": "Mars/Olympus"},
        {"zone": "Europe"},
        {"zone": "../Europe/Berlin"},
        {"zone": ""},
        {"zone": "a\x00"},
        {"week": {}},
        {"week": {"mon": []}},
        {"week": {"mon": [{"opens": "9:00", "closes": "17:00"}]}},
        {"week": {"mon": [{"opens": "17:00", "closes": "09:00"}]}},
        {"week": {"mon": [{"opens": "09:00", "closes": "12:00"}, {"opens": "11:00", "closes": "17:00"}]}},
        {"country": "XX"},
        {"country": "DE", "subdivision": "ZZ"},
        {"subdivision": "BE"},
        {"name": ""},
        {"name": "a\x00"},
    ],
)
async def test_calendars_that_make_no_sense_are_refused(
    lead: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await lead.post(f"{SLA}/calendars", json=ALWAYS | {"name": "other"} | change)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"calendar": "none"},
        {"queue": "none"},
        {"first_response_min": 0},
        {"first_response_min": None, "next_response_min": None, "resolution_min": None},
        {"escalations": [{"at": 60, "action": "raise_priority"}]},
        {"escalations": [{"at": 50, "action": "notify_queue"}]},
        {"escalations": [{"at": 50, "action": "reassign", "queue": "none"}]},
    ],
)
async def test_policies_that_cannot_be_kept_are_refused(
    lead: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await lead.post(f"{SLA}/policies", json=POLICY | {"name": "other", "priority": "low"} | change)
    assert answer.status_code == 422, answer.text


async def test_names_and_conditions_are_unique(lead: httpx.AsyncClient) -> None:
    assert (await lead.post(f"{SLA}/calendars", json=ALWAYS)).status_code == 409
    assert (await lead.post(f"{SLA}/policies", json=POLICY | {"priority": "low"})).status_code == 409
    assert (await lead.post(f"{SLA}/policies", json=POLICY | {"name": "twin"})).status_code == 409
    other = (await lead.post(f"{SLA}/calendars", json=ALWAYS | {"name": "other"})).json()
    assert (await lead.put(f"{SLA}/calendars/{other['id']}", json=ALWAYS)).status_code == 409
    low = (await lead.post(f"{SLA}/policies", json=POLICY | {"name": "low", "priority": "low"})).json()
    assert (await lead.put(f"{SLA}/policies/{low['id']}", json=POLICY)).status_code == 409
    assert (await lead.put(f"{SLA}/policies/{uuid4()}", json=POLICY)).status_code == 404
    assert (await lead.put(f"{SLA}/calendars/{uuid4()}", json=ALWAYS)).status_code == 404
    assert (await lead.put(f"{SLA}/customers/{uuid4()}/tier", json={"tier": "x"})).status_code == 404


async def test_the_sample_is_seeded_once(conn: db.Connection, tmp_path: Any) -> None:
    await staff.seed(conn, CHECKOUT / "examples" / "agents.yaml")
    for _ in range(2):
        await seed(conn, CHECKOUT / "examples" / "sla.yaml")
    assert await conn.fetchval("SELECT count(*) FROM sla_policies") == 4
    broken = tmp_path / "sla.yaml"
    broken.write_text("calendars: [{name: x}]\npolicies: []\n")
    with pytest.raises(PromisesError, match=r"calendars\.0\.zone"):
        await seed(conn, broken)
