"""The desk through a pgbouncer in transaction mode: nothing survives a transaction there."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app import db
from app.events.relay import Relay
from app.jobs.runner import Runner
from app.routing.jobs import handlers
from app.sla import service as sla
from app.tickets import service as tickets
from app.tickets.schemas import Filters, MessageDraft
from config.embedded import account
from config.profile import EventSettings, JobSettings
from models.triage.protocol import Triager
from tests import factories
from tests.integration.brokers import free_port
from tests.integration.test_events import Memory

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


@pytest.fixture
def bounced_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    if not Path(PGBOUNCER).exists():
        pytest.skip("pgbouncer is not installed (apt install pgbouncer)")
    server, port = urlsplit(database_url), free_port()
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    file = tmp_path / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(
            server=server.port, user=server.username, password=server.password, port=port, folder=tmp_path
        )
    )
    command = account.running_as(account.unprivileged(), [PGBOUNCER, "-q", file])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql://{server.username}@127.0.0.1:{port}{server.path}?pgbouncer=true"
    finally:
        process.terminate()
        process.wait(10)


async def test_the_desk_works_through_a_pgbouncer_in_transaction_mode(
    bounced_url: str, triager: Triager
) -> None:
    pool = await db.connect(bounced_url, max_size=12, statement_timeout_s=10)
    end = time.monotonic() + 10
    while True:
        try:
            async with pool.acquire() as conn:
                await conn.fetchval("SELECT 1")
            break
        except (OSError, asyncpg.PostgresError):
            assert time.monotonic() < end, "pgbouncer did not start"
            await asyncio.sleep(0.1)
    async with db.transaction(pool) as conn:
        await factories.agent(conn, "accounts", capacity=50)
        customer = await factories.person(conn)
    sink, stop = Memory(), asyncio.Event()
    relay, runner = Relay(pool, sink, EventSettings()), Runner(pool, handlers(pool, triager), JobSettings())
    await relay.once()
    parts = [asyncio.create_task(part.run(stop)) for part in (relay, runner)]

    async def use() -> None:
        async with db.transaction(pool) as conn:
            made = await factories.ticket(conn, customer)
        async with db.transaction(pool) as conn:
            await tickets.add_message(conn, customer, made.id, MessageDraft(body="hello"))
        async with db.transaction(pool) as conn:
            await tickets.page(conn, customer, Filters(status="new", q="password"), None, 20)

    await asyncio.gather(*(use() for _ in range(30)))  # 12 connections of ours share 4 of the server's
    async with asyncio.timeout(30):
        while sum(event.kind == "assigned" for event in sink.events) < 30:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with db.transaction(pool) as conn:
        await sla.sweep(conn)
    stop.set()
    await asyncio.gather(*parts)
    assert [event.position for event in sink.events] == sorted(event.position for event in sink.events)
    pool.terminate()
