"""What people write in tickets lies sealed, is found by its words, and goes with their key."""

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import db, resealing
from app.encryption import DataKeys, LocalKeyEncryption
from app.tickets import words
from app.vault import service as vault
from config import keys
from config.keyring import FileKeys
from tests import factories
from tests.integration.conftest import Browser

TICKETS = "/api/v1/tickets"
PLANTED = [f"planted{n}zq" for n in range(12)]


async def everything(conn: db.Connection) -> str:
    """Every row of every table as text, what is bytes as the text it would be."""
    tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for (table,) in tables:
        for row in await conn.fetch(f'SELECT * FROM "{table}"'):
            values = [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in row.values()]
            found.append(" ".join(values))
    return "\n".join(found)


async def written(customer: httpx.AsyncClient, agent: httpx.AsyncClient) -> str:
    """A ticket with something planted wherever people write; its path."""
    draft = {"subject": PLANTED[0], "body": PLANTED[1], "custom": {PLANTED[2]: PLANTED[3]}}
    path = f"{TICKETS}/{(await customer.post(TICKETS, json=draft)).json()['id']}"
    await customer.post(f"{path}/messages", json={"body": PLANTED[4]})
    await agent.post(f"{path}/messages", json={"body": PLANTED[5], "internal": True})
    attachment = {"name": PLANTED[6], "media_type": "image/png", "size_bytes": 1, "sha256": "0" * 64}
    await customer.post(f"{path}/attachments", json=attachment | {"url": f"https://files/{PLANTED[7]}"})
    await agent.patch(
        path, json={"subject": PLANTED[8], "custom": {"k": PLANTED[9]}}, headers={"If-Match": "*"}
    )
    await agent.post(f"{path}/transitions", json={"to": "resolved"})
    await customer.post(f"{path}/csat", json={"score": 5, "comment": PLANTED[10]})
    return path


async def read(client: httpx.AsyncClient, path: str) -> str:
    answers = [
        await client.get(path + part) for part in ("", "/messages", "/attachments", "/events", "/links")
    ]
    assert {answer.status_code for answer in answers} == {200}
    return "".join(answer.text for answer in answers)


async def test_nothing_written_lies_readable_and_all_of_it_reads(
    conn: db.Connection, browser: Browser
) -> None:
    customer = await factories.person(conn, name=PLANTED[11])
    agent = browser(await factories.person(conn, "agent"))
    path = await written(browser(customer), agent)
    dump, shown = await everything(conn), await read(agent, path)
    assert [text for text in (*PLANTED, str(customer.email)) if text in dump] == []
    overwritten = {PLANTED[0], PLANTED[2], PLANTED[3]}
    assert [text for text in PLANTED if text not in shown] == sorted(overwritten)


async def test_without_their_key_a_persons_tickets_read_as_erased_and_others_as_they_were(
    conn: db.Connection, browser: Browser
) -> None:
    customer, other = await factories.person(conn), await factories.person(conn, name="Ben")
    agent = browser(await factories.person(conn, "agent"))
    path = await written(browser(customer), agent)
    kept = await factories.ticket(conn, other, subject="Another subject")
    await agent.post(f"{path}/links", json={"kind": "relates_to", "ticket_id": str(kept.id)})
    await vault.destroy(conn, customer.id)

    shown = await read(agent, path)
    assert [text for text in PLANTED if text in shown] == []
    ticket = (await agent.get(path)).json()
    assert ticket["subject"] == ticket["customer"]["name"] == ticket["csat"]["comment"] == vault.ERASED
    assert ticket["custom"] == {}
    assert (await agent.get(f"{path}/attachments")).json()["items"][0]["url"] == vault.ERASED
    listed = (await agent.get(TICKETS)).json()["items"]
    assert {each["subject"] for each in listed} == {"Another subject", vault.ERASED}
    assert (await agent.get(f"{TICKETS}/{kept.id}/links")).json()["items"][0]["subject"] == vault.ERASED

    refused = await agent.post(f"{path}/messages", json={"body": "a note", "internal": True})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:eservice:person-erased")


async def test_a_text_moved_to_another_ticket_is_not_shown(conn: db.Connection, browser: Browser) -> None:
    agent = browser(await factories.person(conn, "agent"))
    one, other = await factories.ticket(conn), await factories.ticket(conn)
    await conn.execute(
        "UPDATE tickets SET body = (SELECT body FROM tickets WHERE id = $1) WHERE id = $2", one.id, other.id
    )
    answer = await agent.get(f"{TICKETS}/{other.id}")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:eservice:tampered")
    assert (await agent.get(f"{TICKETS}/{one.id}")).status_code == 200


async def test_what_a_migration_left_in_the_clear_is_sealed_and_found_again(
    pool: db.Pool, conn: db.Connection, browser: Browser
) -> None:
    who = await factories.person(conn)
    ticket = await factories.ticket(conn, who)
    await conn.execute(
        """
        UPDATE tickets SET subject = '\\x00'::bytea || 'Charged twice', body = '\\x00'::bytea || 'plain body',
                           custom = '\\x00'::bytea || '{"plan": "teamplan"}', search = ''
        """
    )
    await conn.execute(
        "UPDATE users SET email = '\\x00'::bytea || 'ann@example.com', name = '\\x00'::bytea || 'Ann'"
    )
    await conn.execute("UPDATE users SET email_hash = NULL")
    agent = browser(await factories.person(conn, "agent"))
    before = (await agent.get(f"{TICKETS}/{ticket.id}")).json()
    assert (before["subject"], before["custom"]) == ("Charged twice", {"plan": "teamplan"})
    assert (await agent.get(TICKETS, params={"q": "charges"})).json()["items"] == []

    assert await resealing.keep(pool, lasts_s=60) == 2
    assert await resealing.keep(pool, lasts_s=60) == 0
    assert (await resealing.standing(conn)).unsealed == {}
    dump = await everything(conn)
    assert not [text for text in ("Charged", "plain body", "teamplan", "ann@", "Ann") if text in dump]
    assert (await agent.get(f"{TICKETS}/{ticket.id}")).json() == before | {
        "customer": {"id": str(who.id), "name": "Ann"}
    }
    assert len((await agent.get(TICKETS, params={"q": "charges"})).json()["items"]) == 1


VOCABULARY = ["invoice", "invoices", "charged", "twice", "vault", "password", "passwords", "x9", "sync"]
TEXTS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8).map(" ".join)
PIECES = st.one_of(
    st.sampled_from(VOCABULARY),
    TEXTS.map(lambda text: f'"{text}"'),
    st.just("or"),
    st.sampled_from(VOCABULARY).map(lambda word: f"-{word}"),
)


@pytest.mark.parametrize("round_", range(2))
async def test_search_finds_what_postgresql_found_in_plain_text(conn: db.Connection, round_: int) -> None:
    """The same documents for the same words, phrases, alternatives and exclusions."""
    loop = asyncio.get_running_loop()

    async def compare(text: str, asked: str) -> tuple[bool, bool]:
        plain = await conn.fetchval(
            "SELECT to_tsvector('english', $1) @@ websearch_to_tsquery('english', $2)", text, asked
        )
        query = await words.query(conn, asked)
        document = await words.indexed(conn, text, "")
        found = query and await conn.fetchval(
            "SELECT $1::text::tsvector @@ $2::text::tsquery", document, query
        )
        return bool(plain), bool(found)

    def run() -> None:
        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(text=TEXTS, asked=st.lists(PIECES, min_size=1, max_size=4).map(" ".join))
        def same(text: str, asked: str) -> None:
            plain, found = asyncio.run_coroutine_threadsafe(compare(text, asked), loop).result(30)
            assert plain == found, (text, asked)

        same()

    await asyncio.to_thread(run)


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "keys.json"
    keys.rotate(file)
    return file


async def test_keys_rotate_under_load_and_no_request_fails(
    desk: FastAPI, pool: db.Pool, database_url: str, browser: Browser, key_file: Path
) -> None:
    """Four clients write, read, list and search while the key-encryption key changes three times."""
    mine = DataKeys(lambda: LocalKeyEncryption(FileKeys(key_file)), ttl_s=0.2)
    rotating = await db.connect(database_url, max_size=8, statement_timeout_s=10, keys=mine)
    desk.state.eservice.pool = desk.state.sessions._pool = rotating
    async with db.transaction(rotating) as conn:
        agent = browser(await factories.person(conn, "agent"))
        customers = [browser(await factories.person(conn)) for _ in range(4)]
    ended, statuses = asyncio.Event(), []

    async def use(customer: httpx.AsyncClient, n: int) -> None:
        while not ended.is_set():
            n += 1
            made = await customer.post(
                TICKETS, json={"subject": f"Ticket {n}", "body": "My invoice is wrong."}
            )
            path = f"{TICKETS}/{made.json()['id']}"
            answers = [made, await customer.post(f"{path}/messages", json={"body": "Any news?"})]
            answers += [await agent.get(path), await agent.get(f"{path}/messages")]
            answers += [await agent.get(TICKETS, params={"q": "invoices", "limit": 50})]
            statuses.extend(answer.status_code for answer in answers)

    users = [asyncio.create_task(use(customer, 1000 * n)) for n, customer in enumerate(customers)]
    for _ in range(3):
        before = FileKeys(key_file).current()
        keys.rotate(key_file, after_s=1.2)  # a replica looks at the file once a second
        await asyncio.sleep(2.5)
        assert FileKeys(key_file).current() != before
        assert await resealing.keep(rotating, lasts_s=30) > 0
        async with db.transaction(rotating) as conn:
            standing = await resealing.standing(conn)
        assert set(standing.data_keys) == {standing.current}
        assert keys.forget(key_file, keep=standing.data_keys) == [before]
    ended.set()
    await asyncio.gather(*users)
    rotating.terminate()
    print(f"{len(statuses)} requests")
    assert len(statuses) > 100
    assert set(statuses) <= {200, 201}
