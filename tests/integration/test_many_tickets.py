"""A desk of 200,000 tickets: what its lists cost, and that none reads a whole table."""

import json
import time
from itertools import combinations
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app import db, resealing
from app.events import repository as events
from app.jobs import repository as jobs
from app.routing import repository as routing
from app.sla import repository as sla
from app.tickets import history_repository as history
from app.tickets import linked_repository
from app.tickets import repository as tickets
from app.tickets.schemas import Filters
from app.vault import repository as vault
from tests import factories
from tests.integration.http_server import listening

pytestmark = [pytest.mark.long, pytest.mark.timeout(700)]

TICKETS = 200_000
TOLERATED_MS = 60
"""30 is the aim, on a machine that does nothing else; a list that reads a table takes hundreds."""
LARGE = {
    *("tickets", "ticket_messages", "ticket_events", "ticket_attachments", "ticket_links", "ticket_merges"),
    *("data_keys", "sla_clocks", "jobs", "domain_events", "ticket_csat", "idempotency_keys"),
}

FILL = """
INSERT INTO users (email, name, role)
SELECT '\\x00'::bytea || convert_to('c' || n || '@example.com', 'UTF8'),
       '\\x00'::bytea || convert_to('Customer ' || n, 'UTF8'), 'customer' FROM generate_series(1, 5000) n;
INSERT INTO queues (name) SELECT 'queue ' || n FROM generate_series(1, 12) n;
INSERT INTO tickets (customer_id, subject, body, status, priority, queue_id, assignee_id, created_at)
SELECT c.ids[1 + n % 5000], '\\x00'::bytea || convert_to('Cannot open note ' || n, 'UTF8'),
       '\\x00'::bytea || convert_to('It says ' || md5(n::text) || ' and the '
                                    || (ARRAY['invoice', 'vault', 'sync', 'login'])[1 + n % 4], 'UTF8'),
       CASE WHEN n % 20 = 0 THEN (ARRAY['new', 'open', 'pending', 'on_hold'])[1 + n / 20 % 4]
            WHEN n % 20 < 4 THEN 'resolved' ELSE 'closed' END::ticket_status,
       CASE WHEN n % 997 > 0 THEN (ARRAY['low', 'normal', 'normal', 'high', 'urgent'])[1 + n % 5] END
           ::ticket_priority,
       CASE WHEN n % 991 = 0 THEN NULL ELSE q.ids[1 + (n / 3) % 12] END,
       CASE WHEN n % 20 = 0 AND n % 3 = 0 THEN NULL ELSE a.ids[1 + n % array_length(a.ids, 1)] END,
       now() - (200000 - n) * interval '1 minute'
  FROM generate_series(1, 200000) n,
       (SELECT array_agg(id) AS ids FROM users WHERE role = 'customer') c,
       (SELECT array_agg(id) AS ids FROM users WHERE role = 'agent') a,
       (SELECT array_agg(id) AS ids FROM queues) q;
INSERT INTO ticket_messages (ticket_id, author_id, body)
SELECT id, customer_id, '\\x01'::bytea || sha512(id::text::bytea) FROM tickets;
INSERT INTO ticket_events (ticket_id, actor, kind) SELECT id, 'user:x', 'created' FROM tickets;
INSERT INTO ticket_links (ticket_id, kind, other_id)
SELECT id, 'relates_to', lag(id) OVER (ORDER BY id) FROM tickets OFFSET 1;
INSERT INTO ticket_attachments (ticket_id, author_id, name, media_type, size_bytes, sha256)
SELECT id, customer_id, '\\x01'::bytea || sha512(id::text::bytea), 'image/png', 1, sha256('')
  FROM tickets LIMIT 50000;
INSERT INTO ticket_merges (ticket_id, into_id)
SELECT id, lag(id) OVER (ORDER BY id) FROM tickets WHERE number % 10 = 0 OFFSET 1;
INSERT INTO ticket_csat (ticket_id, score, comment)
SELECT id, 4, '\\x01'::bytea || sha512(id::text::bytea)
  FROM tickets WHERE status = 'closed' AND number % 10 > 0;
INSERT INTO domain_events (aggregate, aggregate_id, kind, actor, position)
SELECT 'ticket', id, 'created', 'user:x', row_number() OVER () FROM tickets;
UPDATE event_log SET last_position = 200000;
INSERT INTO jobs (kind, status, finished_at) SELECT 'x', 'done', now() FROM generate_series(1, 50000);
INSERT INTO jobs (kind) SELECT 'x' FROM generate_series(1, 200);
INSERT INTO sla_calendars (name, zone, week) VALUES ('all', 'UTC', '{}');
INSERT INTO sla_policies (name, calendar_id, resolution_min) SELECT 'p', id, 60 FROM sla_calendars;
INSERT INTO sla_clocks (ticket_id, kind, policy_id, calendar_id, target, started_at, since, spent, warned,
                        ended_at, next_at)
SELECT t.id, 'resolution', p.id, p.calendar_id, '1 hour', t.created_at,
       CASE WHEN t.status IN ('new', 'open') THEN t.created_at END, '0', 0,
       CASE WHEN t.status IN ('resolved', 'closed') THEN now() END,
       CASE WHEN t.status IN ('new', 'open') THEN now() + interval '1 hour' END
  FROM tickets t, sla_policies p;
"""


@pytest.fixture
async def full(pool: db.Pool, conn: db.Connection) -> db.Connection:
    for _ in range(40):
        await factories.agent(conn, "billing")
    await conn.execute("SET statement_timeout = 0")
    await conn.execute("SET session_replication_role = replica")  # or the audit had 900,000 entries
    await conn.execute(FILL, timeout=200)
    await conn.execute("RESET session_replication_role")
    await _seal(pool)
    await conn.execute("VACUUM ANALYZE", timeout=100)
    return conn


async def _seal(pool: db.Pool) -> None:
    """As the job does after the migration."""
    started = time.perf_counter()
    rows = await resealing.keep(pool, lasts_s=300)
    took = time.perf_counter() - started
    print(f"{rows} rows sealed in {took:.0f} s, {rows / took:.0f} rows/s")
    assert rows >= TICKETS + 5000


class Explaining:
    """A connection that explains what it is asked instead of answering."""

    def __init__(self, conn: db.Connection) -> None:
        self._conn = conn
        self.data_keys = db.keys_of(conn)
        self.plans: list[tuple[str, dict[str, Any]]] = []

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await self._conn.execute(f"SET plan_cache_mode = {mode}")
            found = await self._conn.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *values)
            self.plans.append((statement, json.loads(found)[0]["Plan"]))
        return []

    async def fetchval(self, statement: str, *values: Any) -> Any:
        await self.fetch(statement, *values)
        return 0

    async def fetchrow(self, statement: str, *values: Any) -> None:
        await self.fetch(statement, *values)

    execute = fetchval


def whole_tables(plan: dict[str, Any]) -> list[str]:
    mine = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return mine + [name for child in plan.get("Plans", []) for name in whole_tables(child)]


async def test_no_list_reads_a_whole_large_table_and_a_filtered_page_comes_at_once(
    full: db.Connection, desk: FastAPI
) -> None:
    """One test for both: filling the desk takes most of the time."""
    assert await full.fetchval("SELECT count(*) FROM tickets") == TICKETS
    await _explain(full)
    await _time(full, desk)


async def _explain(full: db.Connection) -> None:
    explaining: Any = Explaining(full)
    middle = await full.fetchrow(
        "SELECT id, customer_id, assignee_id, queue_id FROM tickets WHERE number = 101000"
    )
    assert middle
    ticket: UUID = middle["id"]
    every: dict[str, Any] = {
        "status": "open",
        "queue": "queue 3",
        "priority": "urgent",
        "assignee": middle["assignee_id"],
        "customer": middle["customer_id"],
        "q": "invoice 4711",
        "number": 101000,
    }
    for size in range(len(every) + 1):
        for names in combinations(every, size):
            for before in (None, ticket):
                await tickets.page(explaining, Filters(**{name: every[name] for name in names}), before, 51)
    await history.messages(explaining, ticket, internal=True, after=None, limit=51)
    await history.events(explaining, ticket, None, None, 51)
    await tickets.get(explaining, ticket)
    await tickets.unassigned(explaining, [middle["queue_id"]], 50)
    await tickets.open_counts(explaining, [middle["assignee_id"]])
    await vault.by_ids(explaining, [ticket])
    await vault.of_people(explaining, [ticket])
    await vault.under_other_keks(explaining, "a key", 100)
    for table in resealing.TABLES:
        await vault.unsealed(explaining, table, 100)
    await linked_repository.links(explaining, ticket)
    await linked_repository.attachments(explaining, ticket, internal=True)
    await routing.queues(explaining)
    await sla.due(explaining, None, 50)
    await sla.clocks(explaining, ticket)
    await jobs.dead(explaining, before=None, limit=50)
    await jobs.due(explaining)
    await jobs.take(explaining, limit=4, lease_s=60)
    await jobs.reclaim(explaining, max_attempts=3)
    await events.after(explaining, 100_000, 200)
    await events.first_position(explaining)
    guilty = {
        (statement, table)
        for statement, plan in explaining.plans
        for table in whole_tables(plan)
        if table in LARGE or table.startswith("domain_events")
    }
    print(f"{len(explaining.plans)} plans explained")
    assert not guilty, "\n\n".join(f"{table}: {statement}" for statement, table in guilty)
    await full.execute("RESET plan_cache_mode")


async def _time(full: db.Connection, desk: FastAPI) -> None:
    agent = await full.fetchrow("SELECT id FROM users WHERE role = 'agent' LIMIT 1")
    assert agent
    who = factories.Identity(agent["id"], None, None, "agent")
    asked: list[dict[str, Any]] = [
        {"status": "open"},
        {"status": "new", "queue": "queue 3"},
        {"queue": "queue 7", "priority": "urgent"},
        {"priority": "low", "status": "pending"},
        {"assignee": str(agent["id"]), "status": "open"},
        {"assignee": str(agent["id"])},
        {"status": "resolved", "priority": "high", "queue": "queue 1"},
        {"q": "invoice 4711"},
        {"q": "vault", "status": "on_hold"},
    ]
    headers = {"Authorization": f"Bearer {desk.state.tokens.issue(who)}"}
    took: dict[str, list[float]] = {}
    async with listening(desk) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        for round_ in range(34):
            for params in asked:
                started = time.perf_counter()
                answer = await http.get("/api/v1/tickets", params=params | {"limit": "25"})
                if round_ > 3:
                    took.setdefault(str(params), []).append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 200
    for params, times in took.items():
        print(f"p50 {_share(times, 0.5):6.1f} ms, p95 {_share(times, 0.95):6.1f} ms: {params}")
    everything = [each for times in took.values() for each in times]
    p95 = _share(everything, 0.95)
    print(f"p50 {_share(everything, 0.5):.1f} ms, p95 {p95:.1f} ms of {len(everything)} pages")
    assert p95 <= TOLERATED_MS


def _share(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
