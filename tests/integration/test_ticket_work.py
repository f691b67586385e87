"""Assignment, ratings, bulk changes and search over HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app import db
from app.auth.schemas import Role
from app.tickets.bulk import MAX_OPERATIONS
from tests import factories
from tests.integration.conftest import Browser

TICKETS = "/api/v1/tickets"
DRAFT = {"subject": "Login refused", "body": "My password is refused since yesterday."}


async def opened(client: httpx.AsyncClient, **more: Any) -> str:
    made = await client.post(TICKETS, json=DRAFT | more)
    assert made.status_code == 201, made.text
    return f"{TICKETS}/{made.json()['id']}"


async def both(conn: db.Connection, browser: Browser) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """A customer and an agent."""
    return browser(await factories.person(conn)), browser(await factories.person(conn, "agent"))


async def kinds(client: httpx.AsyncClient, path: str) -> list[str]:
    return [event["kind"] for event in (await client.get(f"{path}/events")).json()["items"]]


class TestAssignment:
    async def test_take_hand_over_and_put_back(self, conn: db.Connection, browser: Browser) -> None:
        path = await opened(browser(await factories.person(conn)))
        ada, bob = await factories.person(conn, "agent"), await factories.person(conn, "agent")
        taken = await browser(ada).post(f"{path}/assignment", json={"action": "take"})
        assert taken.json()["assignee"]["id"] == str(ada.id)
        assert taken.headers["ETag"] == '"2"'
        again = await browser(ada).post(f"{path}/assignment", json={"action": "take"})
        assert again.json()["version"] == 2, "what is so already changes nothing"
        given = await browser(ada).post(
            f"{path}/assignment", json={"action": "assign", "assignee": str(bob.id)}
        )
        assert given.json()["assignee"]["id"] == str(bob.id)
        assert await conn.fetchval(
            "SELECT payload->>'agent_id' FROM jobs WHERE kind = 'assign_backlog'"
        ) == str(ada.id)
        back = await browser(bob).post(f"{path}/assignment", json={"action": "unassign"})
        assert back.json()["assignee"] is None
        assert await kinds(browser(ada), path) == ["created", "assigned", "assigned", "unassigned"]

    async def test_of_twenty_who_take_it_one_has_it(self, conn: db.Connection, browser: Browser) -> None:
        path = await opened(browser(await factories.person(conn)))
        agents = [browser(await factories.person(conn, "agent")) for _ in range(20)]
        answers = await asyncio.gather(
            *(agent.post(f"{path}/assignment", json={"action": "take"}) for agent in agents)
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19

    async def test_only_who_has_it_or_a_supervisor_gives_it_away(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        path = await opened(browser(await factories.person(conn)))
        owner, other = await factories.person(conn, "agent"), await factories.person(conn, "agent")
        await browser(owner).post(f"{path}/assignment", json={"action": "take"})
        steal = {"action": "assign", "assignee": str(other.id)}
        assert (await browser(other).post(f"{path}/assignment", json=steal)).status_code == 409
        unassign = await browser(other).post(f"{path}/assignment", json={"action": "unassign"})
        assert (unassign.status_code, unassign.json()["type"]) == (409, "urn:eservice:ticket-taken")
        supervisor = browser(await factories.person(conn, "supervisor"))
        assert (await supervisor.post(f"{path}/assignment", json={"action": "take"})).status_code == 409
        assert (await supervisor.post(f"{path}/assignment", json=steal)).status_code == 200

    @pytest.mark.parametrize(
        ("wish", "status"),
        [
            ({"action": "assign"}, 422),
            ({"action": "take", "assignee": str(uuid4())}, 422),
            ({"action": "assign", "assignee": str(uuid4())}, 422),
            ({"action": "steal"}, 422),
        ],
    )
    async def test_bad_wishes(
        self, conn: db.Connection, browser: Browser, wish: dict[str, Any], status: int
    ) -> None:
        path = await opened(browser(await factories.person(conn)))
        agent = browser(await factories.person(conn, "agent"))
        assert (await agent.post(f"{path}/assignment", json=wish)).status_code == status

    async def test_who_may_not(self, conn: db.Connection, browser: Browser) -> None:
        owner = await factories.person(conn)
        customer, agent = browser(owner), browser(await factories.person(conn, "agent"))
        path, take = await opened(customer), {"action": "take"}
        assert (await customer.post(f"{path}/assignment", json=take)).status_code == 403
        stranger = browser(await factories.person(conn))
        assert (await stranger.post(f"{path}/assignment", json=take)).status_code == 404
        to_customer = {"action": "assign", "assignee": str(owner.id)}
        assert (await agent.post(f"{path}/assignment", json=to_customer)).status_code == 422
        await agent.post(f"{path}/transitions", json={"to": "resolved"})
        assert (await agent.post(f"{path}/assignment", json=take)).status_code == 409


class TestCsat:
    async def test_the_customer_rates_what_has_ended_and_may_think_again(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        customer, agent = (
            browser(await factories.person(conn)),
            browser(await factories.person(conn, "agent")),
        )
        path = await opened(customer)
        early = await customer.post(f"{path}/csat", json={"score": 5})
        assert (early.status_code, early.json()["type"]) == (409, "urn:eservice:ticket-not-ended")
        await agent.post(f"{path}/transitions", json={"to": "resolved"})
        first = await customer.post(f"{path}/csat", json={"score": 2, "comment": " slow "})
        assert (first.status_code, first.json()["comment"]) == (200, "slow")
        assert (await customer.post(f"{path}/csat", json={"score": 4})).status_code == 200
        found = (await agent.get(path)).json()["csat"]
        assert (found["score"], found["comment"]) == (4, "")
        assert (await kinds(customer, path))[-2:] == ["rated", "rated"]

    @pytest.mark.parametrize("role", ["agent", "supervisor", "admin"])
    async def test_nobody_else_rates(self, conn: db.Connection, browser: Browser, role: Role) -> None:
        customer = browser(await factories.person(conn))
        path = await opened(customer)
        await customer.post(f"{path}/transitions", json={"to": "closed"})
        staff = browser(await factories.person(conn, role))
        assert (await staff.post(f"{path}/csat", json={"score": 5})).status_code == 403
        stranger = browser(await factories.person(conn))
        assert (await stranger.post(f"{path}/csat", json={"score": 5})).status_code == 404

    @pytest.mark.parametrize(
        "draft", [{}, {"score": 0}, {"score": 6}, {"score": 5, "comment": "a\x00"}, {"score": 5, "x": 1}]
    )
    async def test_bad_ratings(self, conn: db.Connection, browser: Browser, draft: dict[str, Any]) -> None:
        customer = browser(await factories.person(conn))
        path = await opened(customer)
        assert (await customer.post(f"{path}/csat", json=draft)).status_code == 422


class TestBulk:
    async def test_each_operation_has_its_own_result(self, conn: db.Connection, browser: Browser) -> None:
        customer, ada = browser(await factories.person(conn)), await factories.person(conn, "agent")
        agent = browser(ada)
        one, two = [(await opened(customer)).rpartition("/")[2] for _ in range(2)]
        operations = [
            {"action": "transition", "ticket_id": two, "change": {"to": "open"}},
            {"action": "transition", "ticket_id": two, "change": {"to": "new"}},
            {"action": "patch", "ticket_id": one, "change": {"tags": ["mac"]}, "version": 1},
            {"action": "patch", "ticket_id": one, "change": {"tags": ["pc"]}, "version": 1},
            {"action": "patch", "ticket_id": one, "change": {"queue": "none"}},
            {"action": "assignment", "ticket_id": two, "change": {"action": "take"}},
            {"action": "message", "ticket_id": one, "change": {"body": "On it", "internal": True}},
            {"action": "transition", "ticket_id": str(uuid4()), "change": {"to": "open"}},
        ]
        answer = await agent.post(f"{TICKETS}/bulk", json={"operations": operations})
        results = answer.json()["results"]
        assert [result["status"] for result in results] == [200, 409, 200, 412, 422, 200, 201, 404]
        assert [result["ticket_id"] for result in results] == [each["ticket_id"] for each in operations]
        assert [result["version"] for result in results] == [2, None, 2, None, None, 3, 2, None]
        assert results[1]["error"] == "urn:eservice:illegal-transition"
        found = (await agent.get(f"{TICKETS}/{one}")).json()
        assert (found["tags"], found["version"]) == (["mac"], 2)
        assert (await agent.get(f"{TICKETS}/{two}")).json()["assignee"]["id"] == str(ada.id)

    async def test_two_at_once_in_opposite_order(self, conn: db.Connection, browser: Browser) -> None:
        customer, agent = (
            browser(await factories.person(conn)),
            browser(await factories.person(conn, "agent")),
        )
        ids = [(await opened(customer)).rpartition("/")[2] for _ in range(20)]

        async def tag(order: list[str], tag: str) -> list[int]:
            operations = [{"action": "patch", "ticket_id": one, "change": {"tags": [tag]}} for one in order]
            answer = await agent.post(f"{TICKETS}/bulk", json={"operations": operations})
            return [result["status"] for result in answer.json()["results"]]

        both = await asyncio.gather(tag(ids, "a"), tag(ids[::-1], "b"))
        assert both == [[200] * 20] * 2

    async def test_five_hundred_and_no_more(self, conn: db.Connection, browser: Browser) -> None:
        customer, agent = (
            browser(await factories.person(conn)),
            browser(await factories.person(conn, "agent")),
        )
        ticket = (await opened(customer)).rpartition("/")[2]
        one = {"action": "patch", "ticket_id": ticket, "change": {"tags": ["x"]}}
        full = await agent.post(f"{TICKETS}/bulk", json={"operations": [one] * MAX_OPERATIONS})
        assert [result["version"] for result in full.json()["results"]] == list(range(2, 502))
        over = await agent.post(f"{TICKETS}/bulk", json={"operations": [one] * (MAX_OPERATIONS + 1)})
        assert over.status_code == 422
        assert (await agent.post(f"{TICKETS}/bulk", json={"operations": []})).status_code == 422

    async def test_not_for_customers(self, conn: db.Connection, browser: Browser) -> None:
        customer = browser(await factories.person(conn))
        ticket = (await opened(customer)).rpartition("/")[2]
        one = {"action": "transition", "ticket_id": ticket, "change": {"to": "closed"}}
        assert (await customer.post(f"{TICKETS}/bulk", json={"operations": [one]})).status_code == 403


class TestSearch:
    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("password", {"Login refused", "Where is my key"}),
            ("passwords", {"Login refused", "Where is my key"}),
            ("invoice", {"Charged twice"}),
            ('"charged twice"', {"Charged twice"}),
            ("password -vault", {"Login refused"}),
            ("invoice or vault", {"Charged twice", "Where is my key"}),
            ("nothing like it", set()),
            ("the", set()),
            ("%_'\"\\;&|!()<->:*", set()),
        ],
    )
    async def test_subject_and_body(
        self, conn: db.Connection, browser: Browser, q: str, found: set[str]
    ) -> None:
        customer = browser(await factories.person(conn))
        await opened(customer)
        await opened(customer, subject="Charged twice", body="The invoice says so.")
        await opened(customer, subject="Where is my key", body="I forgot the vault's password.")
        answer = await customer.get(TICKETS, params={"q": q})
        assert {ticket["subject"] for ticket in answer.json()["items"]} == found

    async def test_a_changed_subject_is_found_and_customers_find_their_own(
        self, conn: db.Connection, browser: Browser
    ) -> None:
        customer, agent = (
            browser(await factories.person(conn)),
            browser(await factories.person(conn, "agent")),
        )
        path = await opened(customer)
        await agent.patch(path, json={"subject": "Zeppelin"}, headers={"If-Match": "*"})
        for client, count in ((customer, 1), (agent, 1), (browser(await factories.person(conn)), 0)):
            answer = await client.get(TICKETS, params={"q": "zeppelins", "status": "new"})
            assert len(answer.json()["items"]) == count

    @pytest.mark.parametrize("q", ["", "x" * 201, "a\x00b"])
    async def test_bad_words(self, conn: db.Connection, browser: Browser, q: str) -> None:
        customer = browser(await factories.person(conn))
        assert (await customer.get(TICKETS, params={"q": q})).status_code == 422

    async def test_it_finds_through_its_index(self, conn: db.Connection) -> None:
        customer = await factories.person(conn)
        await conn.execute(
            """
            INSERT INTO tickets (customer_id, subject, body, search)
            SELECT $1, '\\x00', '\\x00', to_tsvector('simple', md5(n::text)) FROM generate_series(1, 20000) n
            """,
            customer.id,
            timeout=60,
        )
        await conn.execute("VACUUM ANALYZE tickets", timeout=60)
        plan = await conn.fetch(
            """
            EXPLAIN SELECT id FROM tickets
             WHERE search @@ 'rare'::tsquery ORDER BY id DESC LIMIT 50
            """
        )
        assert "tickets_search" in "\n".join(row[0] for row in plan)
