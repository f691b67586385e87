"""Budgets on real PostgreSQL: the cheaper model, then 402, and never overdrawn by callers at once."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.usage.budgets import Book, BudgetSpent
from tests import factories
from tests.integration import gateway
from tests.integration.conftest import Browser
from tests.integration.gateway import ANSWER
from tests.integration.upstream import USAGE, Upstream

PATH = "/api/v1/admin/budgets"
COST = gateway.PRICES[1] * USAGE["total_tokens"] / 1e6
"""Of one answer of `p1`, the dear one; `p0` costs a thousandth of it."""


@pytest.fixture
async def admin(browser: Browser, pool: db.Pool) -> httpx.AsyncClient:
    async with db.transaction(pool) as conn:
        return browser(await factories.person(conn, "admin"))


def draft(**changes: Any) -> dict[str, Any]:
    return {"name": "all", "limit_usd": 0.5 * COST, "hard_limit_usd": 1.0, "period": "day", **changes}


async def put(admin: httpx.AsyncClient, desk: FastAPI, **changes: Any) -> None:
    body = draft(**changes)
    response = await admin.put(f"{PATH}/{body['name']}", json=body)
    assert response.status_code == 200, response.text
    await desk.state.eservice.budgets.look()


async def spent(admin: httpx.AsyncClient) -> tuple[float, float]:
    [item] = (await admin.get(PATH)).json()["items"]
    return item["spent_usd"], item["reserved_usd"]


async def test_the_cheaper_model_then_402(desk: FastAPI, admin: httpx.AsyncClient) -> None:
    cheap, dear = Upstream(), Upstream()
    async with gateway.providers(cheap, dear) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        await put(admin, desk, cheaper_model="p0", hard_limit_usd=COST * 1.0005)
        assert (await gateway.streamed(admin, "p1")).text == ANSWER
        assert await spent(admin) == (pytest.approx(COST), 0)
        assert (len(cheap.requests), len(dear.requests)) == (0, 1)
        second = await gateway.streamed(admin, "p1")
        assert second.text == ANSWER
        assert {event["model"] for event in second.events} == {"p0"}, "it says whose answer it is"
        assert (len(cheap.requests), len(dear.requests)) == (1, 1)
        for ask in (gateway.streamed, gateway.whole):
            assert (await ask(admin, "p1")).error == "402 budget_spent"
        body = {"model": "p1", "messages": [{"role": "user", "content": "?"}]}
        refused = (await admin.post("/v1/chat/completions", json=body)).json()["error"]
        assert refused["type"] == "insufficient_quota"
        assert "'all'" in refused["message"]
        assert len(dear.requests) == 1


async def test_the_assistant_keeps_to_it(desk: FastAPI, admin: httpx.AsyncClient) -> None:
    async with gateway.providers(Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        await put(admin, desk, limit_usd=0, hard_limit_usd=0)
        conversation = (await admin.post("/api/v1/chat/conversations", json={})).json()["id"]
        refused = await admin.post(
            f"/api/v1/chat/conversations/{conversation}/messages", json={"content": "How do I merge?"}
        )
        assert refused.status_code == 402
        await put(admin, desk, limit_usd=1)
        assert (await gateway.asked(admin)).text == ANSWER
        assert (await spent(admin))[0] == pytest.approx(gateway.PRICES[0] * USAGE["total_tokens"] / 1e6)


async def add_one(conn: db.Connection, holder: str) -> None:
    """A budget of a dollar a day."""
    await conn.execute(
        """
        INSERT INTO budgets (name, holder, period, limit_usd, hard_limit_usd) VALUES ('b', $1, 'day', 1, 1)
        """,
        holder,
    )


async def test_callers_at_once_cannot_overdraw(pool: db.Pool, conn: db.Connection) -> None:
    """Forty callers, each reserving a tenth: ten get it, whoever they are."""
    await add_one(conn, "everybody")
    books = [Book(pool), Book(pool)]
    for book in books:
        await book.look()
    people = [(await factories.person(conn)).id for _ in range(4)]
    through = asyncio.Event()

    async def ask(number: int) -> bool:
        try:
            async with books[number % 2].reserve(people[number % 4], "m", 0.1 + 1e-9) as reservation:
                await through.wait()
                reservation.cost_usd = 0.05
        except BudgetSpent:
            return False
        return True

    asking = [asyncio.create_task(ask(number)) for number in range(40)]
    async with asyncio.timeout(20):
        while sum(task.done() for task in asking) < 30:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    through.set()
    assert sum(await asyncio.gather(*asking)) == 10
    assert await conn.fetchval("SELECT spent_usd FROM budget_pots") == pytest.approx(0.5)
    assert await conn.fetchval("SELECT count(*) FROM budget_reservations") == 0


async def test_each_user_has_a_pot_and_a_period_ends(pool: db.Pool, conn: db.Connection) -> None:
    await add_one(conn, "each_user")
    book = Book(pool)
    await book.look()
    one, other = [(await factories.person(conn)).id for _ in range(2)]
    async with book.reserve(one, "m", 1.5):
        pass  # nobody said what it cost: it counts as reserved
    with pytest.raises(BudgetSpent):
        await book.reserve(one, "m", 0.1).__aenter__()
    async with book.reserve(other, "m", 0.1) as reservation:
        reservation.cost_usd = 0.1
    async with book.reserve(one, "free", 0.0) as reservation:
        assert reservation.model == "free"
    await conn.execute("UPDATE budget_pots SET starts_at = starts_at - interval '1 day'")
    async with book.reserve(one, "m", 0.1) as reservation:
        reservation.cost_usd = 0.1
    assert [round(row[0], 3) for row in await conn.fetch("SELECT spent_usd FROM budget_pots ORDER BY 1")] == [
        0.1,
        0.1,
        1.5,
    ]


async def test_what_a_dead_replica_reserved_comes_back(pool: db.Pool, conn: db.Connection) -> None:
    await add_one(conn, "everybody")
    book = Book(pool)
    await book.look()
    who = (await factories.person(conn)).id
    killed = book.reserve(who, "m", 2.0)  # kept: once abandoned, it would be ended and give back by itself
    await killed.__aenter__()
    with pytest.raises(BudgetSpent):
        await book.reserve(who, "m", 0.1).__aenter__()
    await conn.execute("UPDATE budget_reservations SET expires_at = now() - interval '1 second'")
    async with book.reserve(who, "m", 0.1) as reservation:
        reservation.cost_usd = 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_usd": -1},
        {"limit_usd": 2, "hard_limit_usd": 1},
        {"holder": "user"},
        {"holder": "user", "user_id": "00000000-0000-0000-0000-000000000001"},
        {"cheaper_model": "nothing"},
        {"period": "year"},
        {"name": "other"},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(
    desk: FastAPI, admin: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    async with gateway.providers(Upstream()) as catalogue:
        gateway.give(desk.state.eservice, catalogue)
        assert (await admin.put(f"{PATH}/all", json=draft(**wrong))).status_code == 422
    assert (await admin.get(PATH)).json()["items"] == []


async def test_only_for_administrators(browser: Browser, pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        client = browser(await factories.person(conn, "supervisor"))
    answers = [
        await client.get(PATH),
        await client.put(f"{PATH}/all", json=draft()),
        await client.delete(f"{PATH}/all"),
    ]
    assert {answer.status_code for answer in answers} == {403}


async def test_a_budget_can_go(desk: FastAPI, admin: httpx.AsyncClient) -> None:
    await put(admin, desk)
    assert (await admin.delete(f"{PATH}/all")).status_code == 204
    assert (await admin.delete(f"{PATH}/all")).status_code == 404
