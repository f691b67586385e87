"""Values that pass a schema and that no column can hold are the caller's mistake, not a 500."""

import pytest

from app import db
from app.chat import repository as chat
from tests import factories
from tests.integration.conftest import Browser


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/admin/providers/versions?cursor=2036253559481776",
        "/api/v1/knowledge/articles?cursor=x",
        "/api/v1/analytics/overview?known_at=0001-01-01T00:00:00Z",
        "/api/v1/analytics/agents?known_at=0001-01-01T00:00:00%2B14:00&format=csv",
        "/api/v1/analytics/overview?known_at=9999-12-31T23:59:59-14:00",
        "/api/v1/admin/audit?since=0001-01-01T00:00:00%2B14:00",
        "/api/v1/admin/audit?until=9999-12-31T23:59:59-14:00",
    ],
)
async def test_in_a_query(browser: Browser, pool: db.Pool, path: str) -> None:
    async with db.transaction(pool) as conn:
        admin = await factories.person(conn, "admin")
    assert (await browser(admin).get(path)).status_code == 422


async def test_what_a_ticket_cannot_hold_does_not_keep_a_conversation_from_becoming_one(
    browser: Browser, pool: db.Pool
) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn)
        said = await chat.add(conn, who.id, "Sync")
        for text in (" " * 250 + "How\x00?", "\x00"):
            await chat.add_message(conn, said.id, "customer", text)
    path = f"/api/v1/chat/conversations/{said.id}"
    for subject in ("\x00", "  "):
        assert (await browser(who).post(f"{path}/handoff", json={"subject": subject})).status_code == 422
    assert (await browser(who).post(f"{path}/messages", json={"content": "a\x00b"})).status_code == 422
    made = await browser(who).post(f"{path}/handoff", json={})
    assert (made.status_code, made.json()["subject"]) == (201, "How?"), made.text


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_moments_that_no_calendar_has(browser: Browser, pool: db.Pool, moment: str) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn)
    draft = {"name": "ci", "scopes": ["models"], "expires_at": moment}
    assert (await browser(who).post("/api/v1/api-keys", json=draft)).status_code == 422
    for_ever = await browser(who).post(
        "/api/v1/api-keys", json=draft | {"expires_at": "9999-12-31T23:59:59Z"}
    )
    assert for_ever.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "\\u0000"}',
        b'{"title": "\\ud800"}',
        b'{"\\uda53": 1}',
    ],
)
async def test_in_a_body(browser: Browser, pool: db.Pool, body: bytes) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn)
    answer = await browser(who).post(
        "/api/v1/chat/conversations", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {201, 422}, answer.text
