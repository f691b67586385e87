"""Links, merges, fields of queues, attachments, rules, agents' presence, dead letters: over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import httpx
import pytest

from app import db
from app.jobs import repository as job_rows
from app.routing import service as routing
from app.sla import service as sla
from app.tickets.schemas import BacklogJob
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.test_routing import settled, triage

ALL_DAY = {"opens": "00:00", "closes": "24:00"}
TICKETS, ROUTING = "/api/v1/tickets", "/api/v1/routing"


class TestLinks:
    async def test_both_tickets_know_of_a_link_until_it_is_taken_away(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        agent = browser(await factories.person(conn, "agent"))
        one, other = await factories.ticket(conn), await factories.ticket(conn)
        path = f"{TICKETS}/{one.id}/links"
        draft = {"kind": "blocks", "ticket_id": str(other.id)}
        for _ in range(2):
            made = await agent.post(path, json=draft)
            assert made.status_code == 201
        assert [(link["number"], link["direction"]) for link in made.json()["items"]] == [
            (other.number, "out")
        ]
        (seen,) = (await agent.get(f"{TICKETS}/{other.id}/links")).json()["items"]
        assert (seen["kind"], seen["direction"], seen["number"]) == ("blocks", "in", one.number)
        events = (await agent.get(f"{TICKETS}/{other.id}/events")).json()["items"]
        assert [event["kind"] for event in events] == ["created", "linked"]
        assert (await agent.delete(f"{path}/blocks/{other.id}")).status_code == 204
        assert (await agent.delete(f"{path}/blocks/{other.id}")).status_code == 404
        assert (await agent.get(path)).json()["items"] == []
        assert (await agent.post(path, json={"kind": "blocks", "ticket_id": str(one.id)})).status_code == 422
        assert (await agent.post(path, json={"kind": "blocks", "ticket_id": str(uuid4())})).status_code == 404

    async def test_links_are_no_business_of_customers(self, conn: db.Connection, browser: Browser) -> None:
        who = await factories.person(conn)
        one, other = await factories.ticket(conn, who), await factories.ticket(conn, who)
        customer = browser(who)
        assert (await customer.get(f"{TICKETS}/{one.id}/links")).status_code == 403
        draft = {"kind": "blocks", "ticket_id": str(other.id)}
        assert (await customer.post(f"{TICKETS}/{one.id}/links", json=draft)).status_code == 403
        assert (
            await customer.post(f"{TICKETS}/{one.id}/merge", json={"into": str(other.id)})
        ).status_code == 403


class TestMerge:
    async def test_all_that_was_said_goes_over_and_the_ticket_closes_for_good(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        who = await factories.person(conn)
        agent, customer = browser(await factories.person(conn, "agent")), browser(who)
        merged, remains = (
            await factories.ticket(conn, who, body="first words"),
            await factories.ticket(conn, who),
        )
        await agent.post(f"{TICKETS}/{merged.id}/messages", json={"body": "a note", "internal": True})
        await customer.post(f"{TICKETS}/{merged.id}/messages", json={"body": "more words"})
        done = await agent.post(f"{TICKETS}/{merged.id}/merge", json={"into": str(remains.id)})
        assert (done.status_code, done.json()["id"], done.json()["version"]) == (200, str(remains.id), 2)
        theirs = (await customer.get(f"{TICKETS}/{remains.id}/messages")).json()["items"]
        assert sorted(message["body"] for message in theirs) == ["first words", "more words"]
        assert len((await agent.get(f"{TICKETS}/{remains.id}/messages")).json()["items"]) == 3
        old = (await customer.get(f"{TICKETS}/{merged.id}")).json()
        assert (old["status"], old["merged_into"]) == ("closed", str(remains.id))
        late = await customer.post(f"{TICKETS}/{merged.id}/messages", json={"body": "too late"})
        assert (late.status_code, late.json()["merged_into"]) == (409, str(remains.id))
        again = await agent.post(f"{TICKETS}/{merged.id}/transitions", json={"to": "open"})
        assert (again.status_code, again.json()["merged_into"]) == (409, str(remains.id))

    async def test_what_cannot_be_merged(self, conn: db.Connection, browser: Browser) -> None:
        who = await factories.person(conn)
        agent = browser(await factories.person(conn, "agent"))
        mine, alien = await factories.ticket(conn, who), await factories.ticket(conn)
        merge = f"{TICKETS}/{mine.id}/merge"
        assert (await agent.post(merge, json={"into": str(alien.id)})).status_code == 409
        assert (await agent.post(merge, json={"into": str(mine.id)})).status_code == 422
        assert (await agent.post(merge, json={"into": str(uuid4())})).status_code == 404

    async def test_two_that_are_merged_into_each_other_at_once(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        who = await factories.person(conn)
        agent = browser(await factories.person(conn, "agent"))
        one, other = await factories.ticket(conn, who), await factories.ticket(conn, who)
        answers = await asyncio.gather(
            agent.post(f"{TICKETS}/{one.id}/merge", json={"into": str(other.id)}),
            agent.post(f"{TICKETS}/{other.id}/merge", json={"into": str(one.id)}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


class TestFields:
    FIELDS: tuple[dict[str, Any], ...] = (
        {"name": "order", "kind": "text", "required": True},
        {"name": "seats", "kind": "number"},
        {"name": "plan", "kind": "choice", "choices": ["team", "solo"]},
        {"name": "since", "kind": "date"},
        {"name": "paid", "kind": "boolean"},
    )

    @pytest.fixture
    async def agent(self, conn: db.Connection, browser: Browser) -> httpx.AsyncClient:
        await factories.queue(conn, "billing")
        lead = browser(await factories.person(conn, "supervisor"))
        put = await lead.put(f"{ROUTING}/queues/billing/fields", json={"fields": self.FIELDS})
        assert put.status_code == 200, put.text
        return browser(await factories.person(conn, "agent"))

    @pytest.mark.parametrize(
        ("custom", "wrong"),
        [
            ({"order": "A-1", "seats": 3, "plan": "team", "since": "2026-01-31", "paid": True, "x": [1]}, []),
            ({"seats": None}, []),
            ({"order": 1, "seats": "3", "plan": "big"}, ["custom.order", "custom.seats", "custom.plan"]),
            (
                {"seats": True, "since": "yesterday", "paid": 1},
                ["custom.seats", "custom.since", "custom.paid"],
            ),
        ],
    )
    async def test_values_are_checked_when_they_are_written(
        self, conn: db.Connection, agent: httpx.AsyncClient, custom: dict[str, Any], wrong: list[str]
    ) -> None:
        made = await factories.queued_ticket(conn, "billing")
        change = await agent.patch(f"{TICKETS}/{made.id}", json={"custom": custom}, headers={"If-Match": "*"})
        assert change.status_code == (422 if wrong else 200), change.text
        assert [problem["field"] for problem in change.json().get("errors", [])] == wrong

    async def test_a_ticket_is_resolved_with_what_is_required(
        self, conn: db.Connection, agent: httpx.AsyncClient
    ) -> None:
        made = await factories.queued_ticket(conn, "billing")
        path = f"{TICKETS}/{made.id}"
        early = await agent.post(f"{path}/transitions", json={"to": "resolved"})
        assert (early.status_code, early.json()["errors"][0]["field"]) == (422, "custom.order")
        await agent.patch(path, json={"custom": {"order": "A-1"}}, headers={"If-Match": "*"})
        assert (await agent.post(f"{path}/transitions", json={"to": "resolved"})).status_code == 200

    async def test_who_may_declare_what(
        self, conn: db.Connection, agent: httpx.AsyncClient, browser: Browser
    ) -> None:
        path = f"{ROUTING}/queues/billing/fields"
        assert (await agent.put(path, json={"fields": []})).status_code == 403
        assert [field["name"] for field in (await agent.get(path)).json()["fields"]] == [
            field["name"] for field in self.FIELDS
        ]
        lead = browser(await factories.person(conn, "supervisor"))
        for fields in (
            [{"name": "a", "kind": "choice"}],
            [{"name": "a", "kind": "text", "choices": ["b"]}],
            [{"name": "a", "kind": "text"}] * 2,
        ):
            assert (await lead.put(path, json={"fields": fields})).status_code == 422
        assert (await lead.put(f"{ROUTING}/queues/nope/fields", json={"fields": []})).status_code == 404


async def test_attachments_are_seen_by_who_may(conn: db.Connection, browser: Browser) -> None:
    who = await factories.person(conn)
    customer, agent = browser(who), browser(await factories.person(conn, "agent"))
    ticket = f"{TICKETS}/{(await factories.ticket(conn, who)).id}"
    path = f"{ticket}/attachments"
    draft = {"name": "shot.png", "media_type": "image/png", "size_bytes": 12, "sha256": "ab" * 32}
    assert (await customer.post(path, json=draft)).status_code == 201
    note = (await agent.post(f"{ticket}/messages", json={"body": "n", "internal": True})).json()["id"]
    with_note = await agent.post(path, json=draft | {"message_id": note})
    assert (with_note.status_code, with_note.json()["internal"]) == (201, True)
    assert len((await customer.get(path)).json()["items"]) == 1
    assert len((await agent.get(path)).json()["items"]) == 2
    assert (await customer.post(path, json=draft | {"message_id": note})).status_code == 422
    assert (await customer.post(path, json=draft | {"internal": True})).status_code == 403
    for wrong in (
        {"sha256": "x"},
        {"size_bytes": -1},
        {"media_type": "image"},
        {"url": "http://x"},
        {"name": ""},
    ):
        assert (await customer.post(path, json=draft | wrong)).status_code == 422
    stranger = browser(await factories.person(conn))
    assert (await stranger.get(path)).status_code == 404


class TestRules:
    RULE: ClassVar[dict[str, Any]] = {
        "name": "VIP invoices",
        "conditions": {"intent": ["invoice"], "text": ["ACME"]},
        "actions": {"queue": "vip", "priority": "urgent", "add_tags": ["vip"]},
    }

    async def test_the_first_that_fits_has_the_last_word(
        self, pool: db.Pool, conn: db.Connection, browser: Browser
    ) -> None:
        lead = browser(await factories.person(conn, "supervisor"))
        expert = await factories.agent(conn, "vip")
        await factories.agent(conn, "billing")
        late = self.RULE | {"name": "later", "place": 200, "actions": {"priority": "low"}}
        for rule in (late, self.RULE):
            assert (await lead.post(f"{ROUTING}/rules", json=rule)).status_code == 201
        assert (await lead.post(f"{ROUTING}/rules", json=self.RULE)).status_code == 409
        made = await settled(
            pool, (await factories.ticket(conn, body="We at Acme were charged")).id, triage()
        )
        assert made.assignee
        assert (made.queue, made.priority, made.tags, made.assignee.id) == (
            "vip",
            "urgent",
            ["vip"],
            expert.id,
        )
        assert made.triage
        assert made.triage["rule"] == "VIP invoices"
        other = await settled(pool, (await factories.ticket(conn, body="My card")).id, triage())
        assert (other.queue, other.tags) == ("billing", [])

    async def test_they_can_be_changed_and_dropped_by_who_leads(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        lead = browser(await factories.person(conn, "supervisor"))
        agent = browser(await factories.person(conn, "agent"))
        await factories.queue(conn, "vip")
        assert (await agent.post(f"{ROUTING}/rules", json=self.RULE)).status_code == 403
        made = (await lead.post(f"{ROUTING}/rules", json=self.RULE)).json()
        path = f"{ROUTING}/rules/{made['id']}"
        assert (await lead.put(path, json=self.RULE | {"enabled": False})).json()["enabled"] is False
        assert (await lead.put(f"{ROUTING}/rules/{uuid4()}", json=self.RULE)).status_code == 404
        unknown = self.RULE | {"name": "x", "actions": {"queue": "nope"}}
        assert (await lead.post(f"{ROUTING}/rules", json=unknown)).status_code == 422
        for empty in ({"conditions": {}}, {"actions": {}}):
            assert (await lead.post(f"{ROUTING}/rules", json=self.RULE | empty)).status_code == 422
        assert [rule["id"] for rule in (await agent.get(f"{ROUTING}/rules")).json()["items"]] == [made["id"]]
        assert (await lead.delete(path)).status_code == 204
        assert (await lead.delete(path)).status_code == 404


async def test_who_comes_back_gets_what_waits(pool: db.Pool, conn: db.Connection, browser: Browser) -> None:
    who = await factories.agent(conn, "billing", capacity=1)
    agent, lead = browser(who), browser(await factories.person(conn, "supervisor"))
    path = f"{ROUTING}/agents/{who.id}"
    assert (await agent.patch(path, json={"present": False})).json()["present"] is False
    waiting = await factories.queued_ticket(conn, "billing")
    await conn.execute("DELETE FROM jobs")
    assert (await agent.patch(path, json={"present": True})).status_code == 200
    (job,) = await conn.fetch("SELECT kind, payload FROM jobs")
    assert job["kind"] == "assign_backlog"
    async with db.transaction(pool) as tx:
        assert await routing.drain(tx, BacklogJob.model_validate(job["payload"])) == 1
    assert (await agent.get(f"{TICKETS}/{waiting.id}")).json()["assignee"]["id"] == str(who.id)
    assert (await agent.patch(path, json={"capacity": 9})).status_code == 403
    changed = await lead.patch(path, json={"capacity": 9, "skills": {"invoice": 4}, "languages": ["de"]})
    assert (changed.json()["capacity"], changed.json()["skills"]) == (9, {"invoice": 4})
    assert (await lead.patch(path, json={"queues": ["nope"]})).status_code == 422
    assert (await lead.patch(f"{ROUTING}/agents/{uuid4()}", json={})).status_code == 404
    other = await factories.agent(conn, "billing")
    assert (await agent.patch(f"{ROUTING}/agents/{other.id}", json={"present": False})).status_code == 403


async def test_nobody_starves(pool: db.Pool, conn: db.Connection) -> None:
    """A day of urgent tickets, more than the one agent takes: the low one has its turn within a day."""
    agent = await factories.agent(conn, "billing", capacity=1)
    start = datetime.now(UTC) - timedelta(days=3)

    async def ticket(hours: float, priority: str) -> UUID:
        made = await factories.queued_ticket(conn, "billing")
        await conn.execute(
            "UPDATE tickets SET created_at = $2, priority = $3::text::ticket_priority WHERE id = $1",
            made.id,
            start + timedelta(hours=hours),
            priority,
        )
        return made.id

    low = await ticket(0, "low")
    for hour in range(0, 36, 2):
        await ticket(hour + 0.5, "urgent")
    order: list[UUID] = []
    for _ in range(19):
        async with db.transaction(pool) as tx:
            assert await routing.drain(tx, BacklogJob(queue="billing")) == 1
        order.append(await conn.fetchval("SELECT id FROM tickets WHERE assignee_id = $1", agent.id))
        await conn.execute(
            "UPDATE tickets SET assignee_id = NULL, status = 'closed' WHERE id = $1", order[-1]
        )
    assert order.index(low) == 12, "after the urgent ones of its first 24 hours, before those that came later"


async def test_preview_knows_the_promise_and_changed_promises_reach_clocks_that_run(
    pool: db.Pool, conn: db.Connection, browser: Browser
) -> None:
    lead = browser(await factories.person(conn, "supervisor"))
    await factories.agent(conn, "accounts")
    week = {
        day: [{"opens": "00:00", "closes": "24:00"}]
        for day in ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    }
    calendar = await lead.post("/api/v1/sla/calendars", json={"name": "all", "zone": "UTC", "week": week})
    assert calendar.status_code == 201, calendar.text
    policy = {"name": "p", "calendar": "all", "first_response_min": 60, "resolution_min": 600}
    made = (await lead.post("/api/v1/sla/policies", json=policy)).json()
    ask = {"subject": "password", "body": "my login password is refused"}
    preview = (await lead.post(f"{ROUTING}/preview", json=ask)).json()
    assert (preview["promise"]["policy"], preview["promise"]["left_min"]) == ("p", 60)
    assert set(preview["promise"]["due_at"]) == {"first_response", "resolution"}
    ticket = await factories.ticket(conn)

    async def target() -> datetime:
        found: datetime = await conn.fetchval(
            "SELECT target_at FROM sla_clocks WHERE ticket_id = $1 AND kind = 'first_response'", ticket.id
        )
        return found

    before = await target()
    changed = await lead.put(f"/api/v1/sla/policies/{made['id']}", json=policy | {"first_response_min": 30})
    assert changed.status_code == 200
    assert await conn.fetchval("SELECT true FROM jobs WHERE kind = 'sla_reach' AND status = 'queued'")
    async with db.transaction(pool) as tx:
        await sla.reach(tx, None)
        await sla.sweep(tx)
    assert before - await target() == timedelta(minutes=30)


async def test_dead_letters_are_looked_at_and_replayed(
    pool: db.Pool, conn: db.Connection, browser: Browser
) -> None:
    admin, agent = (
        browser(await factories.person(conn, "admin")),
        browser(await factories.person(conn, "agent")),
    )
    ids = [
        await job_rows.add(
            conn, "triage_ticket", {"ticket_id": str(uuid4())}, dedupe_key=None, run_at=None, origin={}
        )
        for _ in range(3)
    ]
    for job in await job_rows.take(conn, limit=3, lease_s=60):
        await job_rows.bury(conn, job, "ValueError: no")
    path = "/api/v1/admin/jobs"
    assert (await agent.get(f"{path}/dead")).status_code == 403
    first = (await admin.get(f"{path}/dead", params={"limit": 2})).json()
    rest = (await admin.get(f"{path}/dead", params={"cursor": first["next_cursor"]})).json()
    assert {job["id"] for job in first["items"] + rest["items"]} == {str(job_id) for job_id in ids}
    assert first["items"][0]["last_error"] == "ValueError: no"
    assert (await admin.get(f"{path}/depths")).json()["counts"] == {"triage_ticket": {"dead": 3}}
    assert (await admin.post(f"{path}/{ids[0]}/replay")).json()["status"] == "queued"
    assert (await admin.post(f"{path}/{ids[0]}/replay")).status_code == 409
    assert (await admin.post(f"{path}/{uuid4()}/replay")).status_code == 404


async def test_done_jobs_are_pruned_and_dead_ones_kept(conn: db.Connection) -> None:
    for _ in range(4):
        await job_rows.add(conn, "x", {}, dedupe_key=None, run_at=None, origin={})
    done, old, dead, _ = await job_rows.take(conn, limit=4, lease_s=60)
    assert await job_rows.finish(conn, done)
    assert await job_rows.finish(conn, old)
    await job_rows.bury(conn, dead, "no")
    for job in (old, dead):
        await conn.execute("UPDATE jobs SET finished_at = now() - interval '2 days' WHERE id = $1", job.id)
    assert await job_rows.prune(conn, keep_s=86_400, keep_dead_s=None) == 1
    assert await conn.fetchval("SELECT count(*) FROM jobs") == 3
    assert await job_rows.prune(conn, keep_s=86_400, keep_dead_s=86_400) == 1


async def test_a_token_whose_account_is_gone_is_refused(conn: db.Connection, browser: Browser) -> None:
    who = await factories.person(conn)
    client = browser(who)
    await conn.execute("DELETE FROM users WHERE id = $1", who.id)
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = await client.post(TICKETS, json={"subject": "a", "body": "b"}, headers=headers)
        assert answer.status_code == 401, answer.text


async def test_a_busy_pool_is_not_a_database_that_is_down(database_url: str) -> None:
    small = await db.connect(database_url, max_size=1, statement_timeout_s=5)
    async with small.acquire():
        with pytest.raises(db.PoolBusy):
            async with db.transaction(small, timeout_s=0.2):
                pass
    small.terminate()


async def test_the_same_key_makes_one_message_and_one_attachment(
    conn: db.Connection, browser: Browser
) -> None:
    who = await factories.person(conn)
    customer = browser(who)
    one, other = await factories.ticket(conn, who), await factories.ticket(conn, who)
    file = {"name": "a.png", "media_type": "image/png", "size_bytes": 1, "sha256": "ab" * 32}
    for kind, draft in (("messages", {"body": "hello"}), ("attachments", file)):
        headers = {"Idempotency-Key": f"key-{kind}"}
        path = f"{TICKETS}/{one.id}/{kind}"
        answers = await asyncio.gather(*(customer.post(path, json=draft, headers=headers) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len((await customer.get(path)).json()["items"]) == 1
        elsewhere = await customer.post(f"{TICKETS}/{other.id}/{kind}", json=draft, headers=headers)
        assert elsewhere.status_code == 422, "the key was for another ticket"
