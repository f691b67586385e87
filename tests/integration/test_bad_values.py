"""Values that pass a schema and that no column can hold are the caller's mistake, not a 500."""

import pytest

from app import db
from tests import factories
from tests.integration.conftest import Browser


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/admin/providers/versions?cursor=2036253559481776",
        "/api/v1/knowledge/articles?cursor=x",
    ],
)
async def test_in_a_query(browser: Browser, pool: db.Pool, path: str) -> None:
    async with db.transaction(pool) as conn:
        admin = await factories.person(conn, "admin")
    assert (await browser(admin).get(path)).status_code == 422


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
