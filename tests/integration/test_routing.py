"""From a triaged ticket to the right person, also when many tickets come at once."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from app import db
from app.auth.schemas import Identity
from app.jobs import repository as jobs
from app.jobs.runner import OnceEffect
from app.routing import seed, service
from app.routing.jobs import handlers
from app.tickets import desk
from app.tickets import service as tickets
from app.tickets.schemas import BacklogJob, Ticket
from models.triage.protocol import Label, Priority, Triage, Triager
from tests import factories
from tests.integration.conftest import Browser

EXAMPLES = Path(__file__).parents[2] / "examples"
SURE = Label("en", 0.99)


def triage(queue: str | None = "billing", priority: Priority = "normal") -> Triage:
    label = Label(queue, 0.9) if queue else None
    return Triage(
        intent=Label("invoice", 0.8) if queue else None,
        queue=label,
        priority=priority,
        language=SURE,
        sentiment="neutral",
        reasons=("a test says so",),
        version="v1",
    )


async def settled(pool: db.Pool, ticket_id: UUID, decided: Triage) -> Ticket:
    async with db.transaction(pool) as conn:
        await service.settle(conn, ticket_id, decided)
    async with db.transaction(pool) as conn:
        found = await desk.read(conn, ticket_id)
    assert found
    return found


async def run_all(pool: db.Pool, triager: Triager) -> None:
    """Every waiting job, one after the other."""
    known = handlers(pool, triager)
    while True:
        async with db.transaction(pool) as conn:
            taken = await jobs.take(conn, limit=10, lease_s=60)
        if not taken:
            return
        for job in taken:
            await known[job.kind](job, OnceEffect(pool, job))


async def test_the_skilled_agent_of_the_queue_gets_it(pool: db.Pool, conn: db.Connection) -> None:
    await factories.agent(conn, "sync", skills={"invoice": 5})
    expert = await factories.agent(conn, "billing", skills={"invoice": 4})
    await factories.agent(conn, "billing")
    ticket = await settled(pool, (await factories.ticket(conn)).id, triage())
    assert ticket.assignee
    assert (ticket.queue, ticket.intent, ticket.assignee.id) == ("billing", "invoice", expert.id)
    events = await conn.fetch(
        "SELECT kind, data FROM ticket_events WHERE ticket_id = $1 ORDER BY id", ticket.id
    )
    assert [event["kind"] for event in events] == ["created", "triaged", "assigned"]
    assert events[2]["data"]["score"]["parts"].keys() == {"skill", "language", "load", "time"}


@pytest.mark.parametrize(
    ("asked", "judged", "kept"), [("high", "low", "high"), ("low", "urgent", "urgent"), (None, "low", "low")]
)
async def test_of_two_priorities_the_higher_counts(
    pool: db.Pool, conn: db.Connection, asked: Priority | None, judged: Priority, kept: Priority
) -> None:
    made = await factories.ticket(conn, priority=asked)
    assert (await settled(pool, made.id, triage(priority=judged))).priority == kept


async def test_without_a_queue_a_person_decides(pool: db.Pool, conn: db.Connection) -> None:
    ticket = await settled(pool, (await factories.ticket(conn)).id, triage(queue=None))
    assert (ticket.queue, ticket.assignee) == (None, None)
    reason = await conn.fetchval("SELECT data->>'reason' FROM ticket_events WHERE kind = 'waiting'")
    assert "a person decides" in reason


async def test_what_a_person_decided_meanwhile_stays(pool: db.Pool, conn: db.Connection) -> None:
    sync_agent = await factories.agent(conn, "sync")
    await factories.agent(conn, "billing")
    standing = await factories.queued_ticket(conn, "sync")
    ticket = await settled(pool, standing.id, triage(queue="billing"))
    assert ticket.assignee
    assert (ticket.queue, ticket.assignee.id) == ("sync", sync_agent.id)


async def test_many_at_once_never_overfill_an_agent(pool: db.Pool, conn: db.Connection) -> None:
    agents = [await factories.agent(conn, "billing", capacity=3) for _ in range(3)]
    made = [await factories.ticket(conn) for _ in range(14)]
    found = await asyncio.gather(*(settled(pool, ticket.id, triage()) for ticket in made))
    counts = await desk.open_counts(conn, [agent.id for agent in agents])
    assert counts == {agent.id: 3 for agent in agents}
    assert sum(ticket.assignee is None for ticket in found) == 5


async def test_overlapping_queues_at_once_do_not_deadlock(pool: db.Pool, conn: db.Connection) -> None:
    for _ in range(4):
        await factories.agent(conn, "billing", "sync", capacity=4)
    for _ in range(10):
        await factories.queued_ticket(conn, "billing")
        await factories.queued_ticket(conn, "sync")

    async def drain(queue: str) -> int:
        async with db.transaction(pool) as own:
            return await service.drain(own, BacklogJob(queue=queue))

    given = await asyncio.gather(*(drain(queue) for queue in ("billing", "sync") * 4))
    assert sum(given) == 16


async def finish(conn: db.Connection, who: Identity, ticket_id: UUID) -> None:
    await tickets.transition(conn, who, ticket_id, "resolved")


async def test_the_backlog_drains_urgent_first_when_a_ticket_is_resolved(
    pool: db.Pool, conn: db.Connection, triager: Triager
) -> None:
    agent = await factories.agent(conn, "billing", capacity=1)
    first = await settled(pool, (await factories.ticket(conn)).id, triage())
    calm = await settled(pool, (await factories.ticket(conn)).id, triage())
    urgent = await settled(pool, (await factories.ticket(conn)).id, triage(priority="urgent"))
    assert first.assignee
    assert (calm.assignee, urgent.assignee) == (None, None)
    await conn.execute("DELETE FROM jobs")
    await finish(conn, agent, first.id)
    await run_all(pool, triager)
    after = {ticket.id: await desk.read(conn, ticket.id) for ticket in (calm, urgent)}
    assert [ticket.assignee is not None for ticket in after.values() if ticket] == [False, True]


async def test_preview_explains_itself_and_changes_nothing(conn: db.Connection, browser: Browser) -> None:
    expert = await factories.agent(conn, "accounts", skills={"password": 5})
    await factories.agent(conn, "accounts", capacity=0)
    client = browser(await factories.person(conn, "agent"))
    response = await client.post(
        "/api/v1/routing/preview", json={"subject": "login refused", "body": "reset my password"}
    )
    assert response.status_code == 200, response.text
    preview = response.json()
    assert preview["triage"]["queue"]["name"] == "accounts"
    assert 0 < preview["triage"]["queue"]["probability"] <= 1
    assert preview["assignee"]["agent_id"] == str(expert.id)
    best, full = preview["agents"]
    assert best["score"] == pytest.approx(
        sum(best["weights"][name] * part for name, part in best["parts"].items()), abs=1e-5
    )
    assert full["obstacle"] == "full: 0 of 0"
    assert await conn.fetchval("SELECT count(*) FROM tickets") == 0
    assert await conn.fetchval("SELECT count(*) FROM agents WHERE last_assigned_at IS NOT NULL") == 0


async def test_routing_is_for_staff(conn: db.Connection, browser: Browser) -> None:
    await factories.agent(conn, "billing", skills={"refunds": 3})
    customer, agent = browser(await factories.person(conn)), browser(await factories.person(conn, "agent"))
    for name in ("queues", "agents", "skills"):
        assert (await customer.get(f"/api/v1/routing/{name}")).status_code == 403
        items = (await agent.get(f"/api/v1/routing/{name}")).json()["items"]
        assert len(items) == 1
    assert (
        await customer.post("/api/v1/routing/preview", json={"subject": "a", "body": "b"})
    ).status_code == 403


async def test_seeding_the_sample_desk_twice_is_seeding_it_once(pool: db.Pool, conn: db.Connection) -> None:
    for _ in range(2):
        async with db.transaction(pool) as own:
            await seed.seed(own, EXAMPLES / "agents.yaml")
    agents = await service.agents(conn)
    staffing = seed.read(EXAMPLES / "agents.yaml")
    assert len(agents) == len(staffing.agents)
    assert {queue.name for queue in await service.queues(conn)} == {queue.name for queue in staffing.queues}
    by_name = {agent.name: agent for agent in agents}
    for wanted in staffing.agents:
        assert by_name[wanted.name].skills == wanted.skills
        assert by_name[wanted.name].queues == sorted(wanted.queues)


def test_a_seed_with_an_unknown_queue_says_so(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("queues: []\nagents: [{email: a@example.com, name: A, queues: [nowhere]}]")
    with pytest.raises(seed.StaffingError, match="unknown queues: nowhere"):
        seed.read(file)
