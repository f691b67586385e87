"""The operator's commands: on a real database, and what they say where something is wrong."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app import db
from app.auth import repository
from app.auth import service as auth
from app.auth.passwords import Passwords
from app.events import service as events
from app.tickets import desk
from app.webhooks import service as webhooks
from app.webhooks.schemas import EndpointDraft
from config import keys
from config.embedded.stores import Addresses
from config.webhooks import WebhookSettings
from deployments.operations.__main__ import main
from tests import factories
from tests.e2e.service import free_port


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, database_url: str, stores: Addresses, tmp_path: Path
) -> None:
    monkeypatch.setenv("ESERVICE_HOME", str(tmp_path / "home"))
    for name, value in stores.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


async def command(*arguments: str) -> int:
    """In a thread: a command runs an event loop of its own."""
    return await asyncio.to_thread(main, list(arguments))


async def test_migrating_what_is_migrated(capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("migrate") == 0
    assert "up to date" in capsys.readouterr().out


async def test_migrating_waits_for_a_postgresql_that_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setenv("DATABASE_URL", re.sub(r":\d+/", f":{port}/", database_url))
    waiting = asyncio.create_task(command("migrate", "--within", "30"))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    async with await passage(port, to=database_url):
        assert await waiting == 0
    assert "up to date" in capsys.readouterr().out


async def passage(port: int, to: str) -> asyncio.Server:
    """Another port of the server at this address."""
    address = urlsplit(to)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async def accept(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(carry(source, here), carry(there, sink))

    return await asyncio.start_server(accept, "127.0.0.1", port)


async def test_the_first_administrator_and_one_who_lost_the_password(
    pool: db.Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pool.acquire() as conn:
        await auth.ensure_user(conn, "bo@example.com", "Bo", "agent")
    for email, name in (("ann@example.com", "ann"), ("bo@example.com", "Bo")):
        assert await command("administrator", email) == 0
        password = capsys.readouterr().out.split()[-1]
        async with pool.acquire() as conn:
            made = await repository.user_by_email(conn, email)
        assert made
        assert (made.role, made.name, made.active) == ("admin", name, True)
        assert await Passwords().verify(made.password_hash, password)
    assert await command("administrator", "nobody") == 2


async def test_dead_jobs_are_listed_and_replayed(pool: db.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    async with pool.acquire() as conn:
        await factories.ticket(conn)
        await conn.execute("UPDATE jobs SET status = 'dead', finished_at = now(), last_error = 'no model'")
        dead = await conn.fetchval("SELECT count(*) FROM jobs WHERE status = 'dead'")
    assert await command("jobs") == 0
    assert "no model" in capsys.readouterr().out
    assert await command("jobs", "--replay", "all") == 0
    assert f"{dead} queued again" in capsys.readouterr().out
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM jobs WHERE status = 'queued'") == dead
    assert await command("jobs", "--replay", "seven") == 2


async def test_webhooks_are_listed_and_what_they_missed_is_replayed(
    pool: db.Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with db.transaction(pool) as conn:
        admin = await factories.person(conn, "admin")
        draft = EndpointDraft(url="https://hooks.example.com/", event_types=["ticket.*"], description="CRM")
        made = await webhooks.make(conn, admin, draft, WebhookSettings())
        await factories.ticket(conn)
    async with db.transaction(pool) as conn:
        await events.place(conn)
    assert await command("webhooks") == 0
    assert "CRM" in capsys.readouterr().out
    since = ("--since", "2026-01-01T00:00:00Z")
    assert await command("webhooks", "--replay", "all", *since) == 0
    assert f"{made.id}: 1 queued again" in capsys.readouterr().out
    assert await command("webhooks", "--replay", str(made.id), *since) == 0
    assert "0 queued again" in capsys.readouterr().out
    assert await command("webhooks", "--replay", "seven", *since) == 2
    assert await command("webhooks", "--replay", "all", "--since", "noon") == 2


async def test_keys_are_shown_rotated_and_pruned(
    pool: db.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that still wraps something is ever forgotten."""
    assert await command("keys", "--rotate") == 1
    assert "rotated by hand" in capsys.readouterr().err
    file = tmp_path / "keys.json"
    first = keys.rotate(file)
    monkeypatch.delenv("ESERVICE_KEY_ENCRYPTION_KEY")
    monkeypatch.setenv("ESERVICE_KEY_ENCRYPTION_KEY_FILE", str(file))
    async with pool.acquire() as conn:
        ticket = await factories.ticket(conn)
    assert await command("keys", "--rotate", "--after=-1") == 0
    assert await command("keys", "--prune") == 0
    assert "0 keys forgotten" in capsys.readouterr().out
    assert await command("keys", "--now") == 0
    assert "2 rows" in capsys.readouterr().out  # the customer's key, and the desk's own
    assert await command("keys", "--prune") == 0
    assert f"forgotten: version 1, {first.kid}" in capsys.readouterr().out
    async with pool.acquire() as conn:
        db.keys_of(conn).forget(ticket.customer.id)
        read = await desk.read(conn, ticket.id)
    assert read
    assert read.subject == ticket.subject


async def test_backing_up_and_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "desk.dump")
    assert await command("backup", file) == 0
    assert "0 tickets" in capsys.readouterr().out
    assert await command("restore", file) == 1
    assert "--replace deletes them first" in capsys.readouterr().err


async def test_providers_without_keys_are_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESERVICE_PROFILE", "prod")
    assert await command("providers") == 0
    assert "OPENAI_API_KEY" in capsys.readouterr().out


async def test_a_database_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert await command("migrate") == 1
    said = capsys.readouterr().err.strip()
    assert said
    assert "Traceback" not in said
