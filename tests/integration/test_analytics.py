"""Reports over HTTP: as JSON and CSV, for whom, of which days, as known now and as known then."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app import db
from app.analytics import repository, service, spreadsheets
from app.auth.schemas import Identity
from app.chat import service as chat
from app.ledger import service as ledger
from app.ledger.schemas import Labels
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.test_ledger import ask, filed, judge, move, settle, talk

PATH = "/api/v1/analytics"
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
async def lead(conn: db.Connection, browser: Browser) -> httpx.AsyncClient:
    return browser(await factories.person(conn, "supervisor"))


@pytest.fixture
async def customer(conn: db.Connection) -> Identity:
    return await factories.person(conn)


async def refresh(conn: db.Connection) -> None:
    async with conn.transaction():
        await service.refresh(conn)


async def rows(client: httpx.AsyncClient, report: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"{PATH}/{report}", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_report_says_what_it_counts_and_of_when(
    conn: db.Connection, lead: httpx.AsyncClient, customer: Identity
) -> None:
    conversation, answer = await talk(conn, customer)
    await judge(conn, customer, conversation, answer, True)
    [before] = await rows(lead, "rates")
    assert before["opened"] == 0, "the view was not refreshed yet"
    await refresh(conn)
    report = (
        await lead.get(f"{PATH}/rates", params={"tz": "Asia/Tokyo", "from": "2020-01-01", "to": "2020-12-31"})
    ).json()
    assert (report["from"], report["to"], report["tz"], report["by"]) == (
        "2020-01-01",
        "2020-12-31",
        "Asia/Tokyo",
        [],
    )
    assert report["items"][0]["deflection_rate"] is None
    assert "Numerator: resolved_by_assistant" in report["definitions"]["deflection_rate"]
    assert "denominator: assisted_ended" in report["definitions"]["deflection_rate"]
    assert datetime.now(UTC) - datetime.fromisoformat(report["refreshed_at"]) < timedelta(minutes=1)
    [now] = await rows(lead, "rates")
    assert (now["opened"], now["confirmed"], now["deflection_rate"]) == (1, 1, 1.0)
    [cost] = await rows(lead, "costs")
    assert (cost["tokens_per_verified_resolution"], cost["cost_per_verified_resolution"]) == (10.0, 0.5)


async def test_a_late_return_restates_the_past(
    conn: db.Connection, lead: httpx.AsyncClient, customer: Identity
) -> None:
    conversation, _ = await talk(conn, customer)
    await settle(conn)
    before = (datetime.now(UTC)).isoformat()
    await ask(conn, conversation)
    await refresh(conn)
    [then] = await rows(lead, "rates", known_at=before)
    [now] = await rows(lead, "rates")
    assert (then["deflection_rate"], then["reopen_rate"]) == (1.0, 0.0)
    assert (now["deflection_rate"], now["reopen_rate"]) == (None, 1.0)
    answer = await lead.get(f"{PATH}/inquiries/{conversation}")
    assert [each["kind"] for each in answer.json()["items"]] == [
        "opened",
        "resolved_by_assistant",
        "reopened",
    ]


async def test_groups_selections_and_what_people_called_things(
    conn: db.Connection, lead: httpx.AsyncClient, customer: Identity
) -> None:
    for labels in (
        Labels("billing", FORMULA, "en"),
        Labels("billing", "-1+1", "de"),
        Labels(None, None, "de"),
    ):
        conversation, _ = await talk(conn, customer)
        await ledger.classified(conn, conversation, labels)
    await refresh(conn)
    by_queue = {row["queue"]: row["opened"] for row in await rows(lead, "rates", by="queue")}
    assert by_queue == {"billing": 2, None: 1}
    both = await rows(lead, "rates", by=["day", "language"], queue="billing")
    assert [(row["language"], row["opened"]) for row in both] == [("de", 1), ("en", 1)]
    assert {row["day"] for row in both} == {datetime.now(UTC).date().isoformat()}
    answer = await lead.get(f"{PATH}/rates", params={"by": ["intent", "day"]}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment; filename=" in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["intent"] for row in table] == ["'-1+1", f"'{FORMULA}", ""]
    assert [row["opened"] for row in table] == ["1", "1", "1"]
    assert table[0]["reopen_rate"] == ""


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\r=1", " =1", "＝1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert spreadsheets.cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, -0.5, "a=1", "", "refund"])
def test_cells_that_are_none_stay_as_they_are(value: object) -> None:
    assert spreadsheets.cell(value) == value


async def test_backlog_agents_and_ratings(
    conn: db.Connection, lead: httpx.AsyncClient, browser: Browser, customer: Identity
) -> None:
    agent = await factories.agent(conn, "billing", capacity=4)
    tickets = [await filed(conn, customer) for _ in range(3)]
    for ticket in tickets[:2]:
        await conn.execute("UPDATE tickets SET assignee_id = $2 WHERE id = $1", ticket, agent.id)
    await move(conn, agent, tickets[0], "resolved")
    await browser(customer).post(f"/api/v1/tickets/{tickets[0]}/csat", json={"score": 5})
    await refresh(conn)
    [open_now] = await rows(lead, "backlog")
    assert (open_now["open"], open_now["under_4h"], open_now["over_30d"]) == (2, 2, 0)
    days = await rows(lead, "backlog", by="day")
    assert [row["open"] for row in days] == [2], "there was nothing before today"
    [row] = await rows(lead, "agents")
    assert (row["agent_id"], row["open"], row["load"], row["resolved"]) == (str(agent.id), 1, 0.25, 1)
    [ratings] = await rows(lead, "csat")
    assert (ratings["ratings"], ratings["csat"], ratings["mean_score"]) == (1, 1.0, 5.0)
    table = (await lead.get(f"{PATH}/agents", params={"format": "csv"})).text.splitlines()
    assert table[0].startswith("agent_id,name,")
    assert len(table) == 2
    figures = await service.key_figures(conn)
    assert (figures["backlog"], figures["csat"]) == (2, 1.0)


async def test_what_models_took(conn: db.Connection, lead: httpx.AsyncClient, customer: Identity) -> None:
    await conn.execute(
        """
        INSERT INTO llm_calls (user_id, asked, model, provider, outcome, streamed, attempts, prompt_tokens,
                               completion_tokens, estimated, cost_usd, total_ms, created_at)
        VALUES ($1, 'm', 'm', 'p', 'answered', false, '[]', 7, 3, false, 0.25, 1, now())
        """,
        customer.id,
    )
    await refresh(conn)
    [row] = await rows(lead, "spend", by=["source", "model"])
    assert row == {
        "source": "direct",
        "model": "m",
        "calls": 1,
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "cost_usd": 0.25,
    }


UNASKABLE: tuple[tuple[dict[str, str], str], ...] = (
    ({"tz": "Nowhere/Atlantis"}, "unknown-time-zone"),
    ({"tz": "../../etc/passwd"}, "unknown-time-zone"),
    ({"from": "2026-02-01", "to": "2026-01-01"}, "period-backwards"),
    ({"from": "2024-01-01", "to": "2026-01-01"}, "period-too-long"),
    ({"by": "agent"}, "invalid"),
    ({"known_at": "2026-01-01T00:00:00"}, "invalid"),
    ({"from": "yesterday"}, "invalid"),
)


async def test_what_cannot_be_asked(lead: httpx.AsyncClient) -> None:
    for asked, kind in UNASKABLE:
        for form in ("json", "csv"):
            answer = await lead.get(f"{PATH}/rates", params=asked | {"format": form})
            assert (answer.status_code, answer.json()["type"]) == (422, f"urn:eservice:{kind}"), asked


async def test_more_rows_than_an_answer_holds_come_as_csv(
    conn: db.Connection, lead: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, customer: Identity
) -> None:
    for intent in "abc":
        conversation, _ = await talk(conn, customer)
        await ledger.classified(conn, conversation, Labels(None, intent, "en"))
    await refresh(conn)
    monkeypatch.setattr(service, "MOST_ROWS", 2)
    asked = {"by": "intent"}
    answer = await lead.get(f"{PATH}/rates", params=asked)
    assert answer.json()["type"] == "urn:eservice:too-many-rows"
    table = (await lead.get(f"{PATH}/rates", params=asked | {"format": "csv"})).text
    assert len(table.splitlines()) == 4
    monkeypatch.setattr(spreadsheets, "MOST_BYTES", 10)
    refused = await lead.get(f"{PATH}/rates", params=asked | {"format": "csv"})
    assert refused.json()["type"] == "urn:eservice:report-too-large"


async def test_days_begin_where_the_reader_is(
    conn: db.Connection, lead: httpx.AsyncClient, customer: Identity
) -> None:
    """The half hour before midnight in Kathmandu is the day before there, whatever it is in UTC."""
    conversation = (await chat.start(conn, customer, "")).id
    at = datetime(2026, 1, 9, 18, 0, tzinfo=UTC)
    await conn.execute(
        """
        INSERT INTO ledger_entries (inquiry_id, kind, reason, valid_at, recorded_at)
        VALUES ($1, 'opened', 'asked', $2, $2)
        """,
        conversation,
        at,
    )
    await refresh(conn)
    asked = {"from": "2026-01-01", "to": "2026-01-31", "by": "day"}
    found = {
        zone: (await rows(lead, "rates", tz=zone, **asked))[0]["day"]
        for zone in ("UTC", "Asia/Kathmandu", "Asia/Tokyo")
    }
    assert not await repository.knows_zone(conn, "Nowhere/Atlantis")
    assert found == {"UTC": "2026-01-09", "Asia/Kathmandu": "2026-01-09", "Asia/Tokyo": "2026-01-10"}


async def test_nobody_elses_business(conn: db.Connection, browser: Browser, lead: httpx.AsyncClient) -> None:
    agent = browser(await factories.person(conn, "agent"))
    for form in ("json", "csv"):
        assert (await agent.get(f"{PATH}/overview", params={"format": form})).status_code == 403
    assert (await lead.get(f"{PATH}/inquiries/{UUID(int=1)}")).status_code == 404


async def test_two_refreshes_at_once(pool: db.Pool, conn: db.Connection) -> None:
    async with db.transaction(pool) as first, db.transaction(pool) as second:
        await service.refresh(first)
        await service.refresh(second)
