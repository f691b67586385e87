"""Every change is written down in its own transaction: by whom, from where, and what changed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app import attribution, db
from app.attribution import Attribution
from app.audit import repository, service
from app.audit.coverage import EXEMPT
from app.audit.sealer import Sealer
from app.auth import api_keys
from app.auth.schemas import ApiKeyDraft
from app.jobs.runner import Runner
from app.routing.jobs import handlers
from app.vault import service as vault
from app.vault.service import Vault
from config.profile import AuditSettings, JobSettings
from models.triage.protocol import Triager
from tests import factories
from tests.integration.audited import entries, rename, tamper, verified
from tests.integration.conftest import Browser

AUDIT = "/api/v1/admin/audit"
PLANTED = "Zanzibar-4711"


@pytest.fixture(autouse=True)
async def nothing_yet(pool: db.Pool) -> None:
    """Later migrations change audited tables too."""
    await tamper(pool, "DELETE FROM audit_pending")


@pytest.fixture
def sealer(pool: db.Pool) -> Sealer:
    return Sealer(pool, AuditSettings(batch=7))


async def test_every_table_is_audited_or_has_a_reason_not_to_be(conn: db.Connection) -> None:
    assert await service.unaudited(conn) == [], (
        "SELECT audit_table(...) in a migration, or a reason in coverage.py"
    )
    triggers = await repository.triggers(conn)
    assert not set(EXEMPT) - set(triggers), "reasons for tables that are gone"
    assert not [name for name in EXEMPT if triggers[name]], "audited, and a reason why not"
    assert all(len(reason.split()) > 1 for reason in EXEMPT.values())


async def test_a_change_over_http_says_who_from_where_and_what(browser: Browser, pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        agent = await factories.agent(conn, "accounts")
        admin = await factories.person(conn, "admin")
        made = await factories.ticket(conn, subject=f"Lost in {PLANTED}")
    response = await browser(agent).patch(
        f"/api/v1/tickets/{made.id}",
        json={"priority": "urgent", "tags": [PLANTED]},
        headers={"If-Match": f'"{made.version}"', "X-Request-ID": "the-change"},
    )
    assert response.status_code == 200, response.text

    found = (await browser(admin).get(AUDIT, params={"cause": "request:the-change"})).json()["items"]
    ticket = next(each for each in found if each["object"] == "tickets")
    assert (ticket["actor"], ticket["action"]) == (f"user:{agent.id}", "changed")
    assert (ticket["object_id"], ticket["address"], ticket["api_key"]) == (str(made.id), "127.0.0.1", None)
    assert ticket["change"]["priority"] == {"before": None, "after": "urgent"}
    assert ticket["change"]["version"] == {"before": made.version, "after": made.version + 1}
    assert ticket["change"]["tags"] == {"before": {"withheld": True}, "after": {"withheld": True}}
    assert "updated_at" not in ticket["change"]
    assert PLANTED not in json.dumps(await entries(pool), default=str)


async def test_a_key_is_named_beside_its_owner(browser: Browser, pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn)
        key = await api_keys.make(conn, who, ApiKeyDraft(name="robot", scopes=["tickets:write"]))
    client = browser(who)
    client.headers["Authorization"] = f"Bearer {key.key}"
    made = await client.post("/api/v1/tickets", json={"subject": "By a robot", "body": "Beep"})
    assert made.status_code == 201, made.text
    [ticket] = await entries(pool, object="tickets")
    assert (ticket["actor"], ticket["api_key"]) == (f"user:{who.id}", str(key.id))


async def test_jobs_commands_strangers_and_people_at_the_database_are_told_apart(
    browser: Browser, pool: db.Pool, conn: db.Connection, triager: Triager
) -> None:
    async with db.transaction(pool) as inside:
        await factories.agent(inside, "accounts")
        made = await factories.ticket(inside)
    runner, stop = Runner(pool, handlers(pool, triager), JobSettings(poll_s=0.05)), asyncio.Event()
    working = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(20):
        while not await entries(pool, object="tickets", action="changed"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await working
    changed = (await entries(pool, object="tickets", action="changed"))[0]
    assert changed["actor"] == "system:triage_ticket"
    assert changed["cause"].startswith("job:")

    [created] = await entries(pool, object="tickets", action="created")
    assert created["actor"].startswith("command:"), "the tests are a program"
    await conn.execute("UPDATE tickets SET priority = 'low' WHERE id = $1", made.id)
    assert (await entries(pool, object="tickets"))[-1]["actor"].startswith("database:")


async def test_what_is_rolled_back_is_not_written_down(pool: db.Pool) -> None:
    async def fail() -> None:
        async with db.transaction(pool) as conn:
            await factories.person(conn)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with db.transaction(pool) as conn:
        with pytest.raises(asyncpg.UniqueViolationError):
            async with conn.transaction():
                await conn.execute("INSERT INTO queues (name) VALUES ('a'), ('a')")
        await factories.queue(conn, "accounts")
    assert [each["object"] for each in await entries(pool)] == ["queues"]


async def test_nothing_of_who_acted_stays_on_the_connection(database_url: str) -> None:
    pool = await db.connect(database_url, max_size=1, statement_timeout_s=10)
    with attribution.acting(Attribution("user:1", "10.0.0.7", "request:x")):
        async with db.transaction(pool) as conn:
            await factories.queue(conn, "accounts")
    async with pool.acquire() as conn:
        await conn.execute("UPDATE queues SET description = 'by hand'")
    first, second = await entries(pool)
    assert (first["actor"], first["address"], first["cause"]) == ("user:1", "10.0.0.7", "request:x")
    assert (second["actor"].split(":")[0], second["cause"]) == ("database", None)
    pool.terminate()


async def test_passwords_keys_and_texts_are_not_copied(conn: db.Connection, pool: db.Pool) -> None:
    who = await factories.person(conn)
    in_the_clear = b"\x00" + PLANTED.encode()
    await conn.execute("UPDATE users SET password_hash = $1, name = $2", PLANTED, in_the_clear)
    await api_keys.make(conn, who, ApiKeyDraft(name=PLANTED, scopes=["tickets:read"]))
    made = await factories.ticket(conn, who, subject=PLANTED, body=PLANTED)
    await conn.execute(
        "INSERT INTO ticket_messages (ticket_id, author_id, body) VALUES ($1, $2, $3)",
        made.id,
        who.id,
        in_the_clear,
    )
    await conn.execute("DELETE FROM tickets")
    written = await entries(pool)
    assert {each["action"] for each in written} == {"created", "changed", "deleted"}
    said = json.dumps(written, default=str)
    assert not {each for each in (PLANTED, PLANTED.encode().hex()) if each in said}
    keyed = next(each for each in written if each["object"] == "api_keys")
    assert "key_hash" not in keyed["change"]


async def test_sealed_values_are_kept_as_they_are(conn: db.Connection, pool: db.Pool) -> None:
    """By their first byte: 1 is sealed, 0 is a text that was not sealed yet."""
    await conn.execute("CREATE TABLE notes (id integer PRIMARY KEY, body bytea)")
    await conn.execute("SELECT audit_table('notes')")
    await conn.execute(r"INSERT INTO notes VALUES (1, '\x00414243'), (2, '\x01beef')")
    first, second = await entries(pool)
    assert first["change"] == {"id": [None, 1], "body": [None, {"withheld": True}]}
    assert second["change"] == {"id": [None, 2], "body": [None, r"\x01beef"]}
    await conn.execute("TRUNCATE notes")
    assert (await entries(pool))[-1]["action"] == "emptied"


async def test_the_log_is_only_appended_to(pool: db.Pool, sealer: Sealer) -> None:
    await rename(pool, 3)
    await sealer.once()
    await rename(pool, 1)
    for table in ("audit_log", "audit_pending"):
        for statement in (f"UPDATE {table} SET actor = 'me'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed"):
                async with db.transaction(pool) as conn:
                    await conn.execute(statement)


async def test_what_was_sealed_is_read_while_its_key_exists(
    browser: Browser, pool: db.Pool, sealer: Sealer
) -> None:
    note = Vault("notes.body")
    async with db.transaction(pool) as conn:
        admin, person = await factories.person(conn, "admin"), await factories.person(conn)
        await conn.execute("CREATE TABLE notes (id integer PRIMARY KEY, body bytea)")
        await conn.execute("SELECT audit_table('notes')")
        await conn.execute("INSERT INTO notes VALUES (1, $1)", await note.seal(conn, person.id, PLANTED))
        await conn.execute(r"INSERT INTO notes VALUES (2, '\x0102')")
    head = await sealer.once()

    async def bodies(opened: bool) -> list[Any]:
        found = await browser(admin).get(AUDIT, params={"object": "notes", "opened": opened})
        assert found.status_code == 200, found.text
        return [each["change"]["body"]["after"] for each in found.json()["items"]]

    assert await bodies(opened=False) == [{"sealed": True}] * 2
    assert await entries(pool) == [], "looking is not written down"
    assert await bodies(opened=True) == ["[unreadable]", PLANTED]
    [read] = await entries(pool)
    assert (read["action"], read["actor"], read["object"]) == ("read", f"user:{admin.id}", "audit_log")
    assert len(read["change"]["ids"][1]) == 2

    async with db.transaction(pool) as conn:
        await vault.destroy(conn, person.id)
        key = await api_keys.make(conn, admin, ApiKeyDraft(name="siem", scopes=["admin:read"]))
    assert await bodies(opened=True) == ["[unreadable]", "[erased]"]
    await sealer.once()
    found = await verified(pool, {head.position: head.hash} if head else None)
    assert found.breaks == [], "erasure leaves the chain whole"

    client = browser(admin)
    client.headers["Authorization"] = f"Bearer {key.key}"
    assert (await client.get(AUDIT)).status_code == 200
    assert (await client.get(AUDIT, params={"opened": True})).status_code == 403


async def test_pages_by_object_actor_time_and_action(browser: Browser, pool: db.Pool, sealer: Sealer) -> None:
    await rename(pool, 9)
    await sealer.once()
    async with db.transaction(pool) as conn:
        admin = await factories.person(conn, "admin")
    client = browser(admin)
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"object": "queues", "limit": 4} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(AUDIT, params=params)).json()
        seen += page["items"]
        if len(seen) == 8:
            await sealer.once()  # what a reader has seen unsealed may be sealed before the next page
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [each["position"] for each in seen] == [*range(10, 0, -1)]
    assert seen[-1]["change"]["name"] == {"before": None, "after": "accounts"}

    async def count(**params: Any) -> int:
        answer = await client.get(AUDIT, params=params | {"limit": 100})
        assert answer.status_code == 200, answer.text
        return len(answer.json()["items"])

    now = datetime.now(UTC)
    row = seen[0]["object_id"]
    assert await count(object="queues", object_id=row, action="changed") == 9
    assert await count(actor=seen[0]["actor"]) >= 11
    assert await count(actor="user:nobody") == 0
    assert await count(since=(now - timedelta(hours=1)).isoformat(), object="users") == 1
    assert await count(until=(now - timedelta(hours=1)).isoformat()) == 0
    assert (await client.get(AUDIT, params={"action": "guessed"})).status_code == 422
    assert (await client.get(AUDIT, params={"since": "yesterday"})).status_code == 422

    head = (await client.get(f"{AUDIT}/head")).json()
    assert head["anchor"] == f"audit-{head['position']}-{head['hash']}"
