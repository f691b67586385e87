"""`kill -9` of a real worker process at each point of a job: redelivered, one effect."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from app import db
from tests import factories

ROOT = Path(__file__).parents[2]


async def worker(dsn: str, model: Path, point: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.killed_worker", dsn, model, point), cwd=ROOT
    )


@pytest.mark.long
@pytest.mark.timeout(240)  # a worker takes seconds to start, on a busy machine half a minute
@pytest.mark.parametrize("point", ["taken", "thought", "written", "committed"])
async def test_a_worker_that_is_killed_leaves_one_effect(
    conn: db.Connection, database_url: str, tmp_path: Path, point: str
) -> None:
    model = tmp_path / "model"
    factories.triage_model().save(model)
    agent = await factories.agent(conn, "accounts")
    made = await factories.ticket(conn)
    first = await worker(database_url, model, point)
    assert await asyncio.wait_for(first.wait(), 90) == -signal.SIGKILL
    attempts = await conn.fetchval("SELECT attempts FROM jobs WHERE kind = 'triage_ticket'")
    assert attempts == 1
    second = await worker(database_url, model, "never")
    try:
        async with asyncio.timeout(90):
            while await conn.fetchval("SELECT true FROM jobs WHERE status <> 'done'"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        second.kill()
        await second.wait()
    job = await conn.fetchrow("SELECT status::text, attempts FROM jobs WHERE kind = 'triage_ticket'")
    assert job is not None
    assert (job["status"], job["attempts"]) == ("done", 1 if point == "committed" else 2)
    for table in ("ticket_events", "domain_events"):
        kinds = await conn.fetch(
            f"SELECT kind, count(*) AS n FROM {table} WHERE kind IN ('triaged', 'assigned') GROUP BY kind"
        )
        assert {row["kind"]: row["n"] for row in kinds} == {"triaged": 1, "assigned": 1}, table
    ticket = await conn.fetchrow("SELECT version, assignee_id FROM tickets WHERE id = $1", made.id)
    assert ticket is not None
    assert (ticket["version"], ticket["assignee_id"]) == (3, agent.id)
