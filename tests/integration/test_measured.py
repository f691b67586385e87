"""What the application measures of itself while people use it: real stores, real requests."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import structlog
from fastapi import FastAPI
from redis.asyncio import Redis

from app import db
from app.jobs import observation
from app.jobs import service as jobs
from app.jobs.runner import Runner
from app.jobs.schemas import Effect, Job
from app.routing.jobs import handlers
from app.telemetry import INFERENCE
from app.triage import drift
from config.profile import JobSettings
from monitoring import tracing
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.gateway import asked, give, providers
from tests.integration.upstream import Upstream
from tests.measured import Figures, Traces, figures

KINDS = ("triage_ticket", "assign_backlog")


@pytest.fixture
def counted() -> Iterator[Figures]:
    with figures() as found:
        yield found


@pytest.fixture
async def traces() -> AsyncIterator[Traces]:
    yield Traces(ratio=1.0)
    tracing.shut_down()


async def test_a_request_by_its_route_and_a_ticket_once_it_is_committed(
    counted: Figures, browser: Browser, conn: db.Connection
) -> None:
    client = browser(await factories.person(conn))
    made = await client.post("/api/v1/tickets", json={"subject": "Sync", "body": "It stopped."})
    await client.get(f"/api/v1/tickets/{made.json()['id']}")
    await client.get("/api/v1/nowhere/ada@example.com")
    await client.post("/api/v1/tickets", json={"subject": ""})
    assert counted.labels("api_request_duration_seconds_count", "route") == {
        "/api/v1/tickets",
        "/api/v1/tickets/{ticket_id}",
        "unmatched",
    }
    labels = {"route": "/api/v1/tickets", "method": "POST", "work": "desk"}
    assert counted("api_request_duration_seconds_count", status="2xx", **labels) == 1
    assert counted("api_request_duration_seconds_count", status="4xx", **labels) == 1
    assert counted("tickets_created_total", priority="unset") == 1


async def test_statements_go_by_the_functions_that_hold_them(
    counted: Figures, traces: Traces, browser: Browser, conn: db.Connection
) -> None:
    client = browser(await factories.person(conn))
    await client.get("/api/v1/tickets")
    names = counted.labels("database_query_duration_seconds_count", "query")
    assert {"tickets.page", "transaction.start"} <= names
    assert not [name for name in names if " " in name or "unknown" in name], names
    span = traces.spans["tickets.page"]
    assert span.parent
    assert span.parent.span_id == traces.spans["GET /api/v1/tickets"].context.span_id  # type: ignore[union-attr]
    assert span.attributes == {"db.system.name": "postgresql", "db.query.summary": "tickets.page"}


async def test_a_failed_statement_is_counted_as_one(counted: Figures, pool: db.Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.UndefinedTableError):
            await conn.fetchval("SELECT 1 FROM nothing_of_that_name")
    outcomes = counted.labels("database_query_duration_seconds_count", "outcome")
    assert "failed" in outcomes


async def test_redis_commands_without_their_keys(traces: Traces, redis: Redis) -> None:
    await redis.set("user:ada@example.com", "1")
    async with redis.pipeline() as pipe:
        pipe.get("user:ada@example.com")
        pipe.get("b")
        await pipe.execute()
    assert traces.spans.keys() >= {"redis SET", "redis PIPELINE"}
    assert "ada" not in str([span.attributes for span in traces.spans.values()])


async def test_jobs_by_kind_how_long_they_waited_and_what_is_left(
    counted: Figures, traces: Traces, pool: db.Pool
) -> None:
    settings = JobSettings(poll_s=0.01, max_attempts=1)
    async with db.transaction(pool) as conn:
        await jobs.enqueue(conn, "triage_ticket", {"ticket_id": "no id"}, run_at=_ago(90))
        await jobs.enqueue(conn, "assign_backlog", {"queue": None, "agent_id": None}, run_at=_ago(30))
        await observation.gauge(conn, KINDS)
    assert counted("queue_depth", kind="triage_ticket") == 1
    assert counted("queue_age_seconds", kind="triage_ticket") > 89
    await _run_until_empty(pool, settings)
    async with db.transaction(pool) as conn:
        await observation.gauge(conn, KINDS)
    assert counted("queue_depth", kind="triage_ticket") == 0
    assert counted("jobs_dead", kind="triage_ticket") == 1
    assert counted("queue_latency_seconds_sum", kind="triage_ticket") > 89
    assert counted("job_duration_seconds_count", kind="triage_ticket", outcome="failed") == 1
    assert counted("job_duration_seconds_count", kind="assign_backlog", outcome="done") == 1
    assert not traces.spans["job triage_ticket"].status.is_ok


async def test_a_job_goes_on_with_the_trace_of_the_request_that_made_it(
    traces: Traces, browser: Browser, conn: db.Connection, pool: db.Pool
) -> None:
    client = browser(await factories.person(conn))
    sent = {"X-Request-ID": "a-request-of-mine"}
    await client.post("/api/v1/tickets", json={"subject": "Sync", "body": "It stopped."}, headers=sent)
    job = await conn.fetchrow("SELECT * FROM jobs WHERE kind = 'triage_ticket'")
    assert job
    assert job["origin"]["request_id"] == "a-request-of-mine"
    logged: list[Mapping[str, object]] = []

    async def note(job: Job, effect: Effect) -> None:
        logged.append(structlog.contextvars.get_contextvars())
        async with effect() as tx:
            await jobs.enqueue(tx, "triage_ticket", {"more": "of its own kind"})
            await jobs.enqueue(tx, "another", {})

    runner, stop = Runner(pool, {"triage_ticket": note}, JobSettings(poll_s=0.01)), asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(10):
        while not await conn.fetchval("SELECT status = 'done' FROM jobs WHERE id = $1", job["id"]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stop.set()
    await running
    found = traces.spans
    asked, ran = found["POST /api/v1/tickets"], found["job triage_ticket"]
    assert asked.context
    assert ran.context
    assert logged[0]["request_id"] == "a-request-of-mine"
    assert job["origin"]["traceparent"].split("-")[1] == f"{asked.context.trace_id:032x}"
    traced = {
        span.context.trace_id
        for span in traces.exporter.get_finished_spans()
        if span.name == "job triage_ticket"
    }
    assert asked.context.trace_id in traced
    made = {
        row["kind"]: row["origin"]
        for row in await conn.fetch("SELECT kind, origin FROM jobs WHERE id > $1", job["id"])
    }
    assert made["another"]["request_id"] == "a-request-of-mine"
    assert made["triage_ticket"] is None, "what comes round is not one trace for ever"


async def test_the_newest_judged_day_of_each_statistic_is_what_the_alert_sees(
    counted: Figures, conn: db.Connection
) -> None:
    await conn.execute(
        """
        INSERT INTO triage_drift (day, statistic, value, size, p, alarm) VALUES
            (current_date - 2, 'labels', 1, 50, 1e-6, true), (current_date - 1, 'labels', 0, 50, 0.5, false),
            (current_date - 1, 'inputs', 9, 50, 1e-6, true),
            (current_date - 9, 'corrections', 9, 50, 1e-6, true)
        """
    )
    await drift.gauge(conn)
    rang = {
        name: counted("triage_drift_alarm", statistic=name) for name in ("inputs", "labels", "corrections")
    }
    assert rang == {"inputs": 1, "labels": 0, "corrections": 0}


async def test_an_answer_that_failed_over_before_its_first_word(
    counted: Figures, traces: Traces, browser: Browser, desk: FastAPI, conn: db.Connection
) -> None:
    async with providers(Upstream("unauthorised"), Upstream()) as catalogue:
        give(desk.state.eservice, catalogue)
        heard = await asked(browser(await factories.person(conn)))
    assert heard.done["outcome"] == "answered"
    assert counted("llm_failovers_total", failed="p0", to="p1") == 1
    assert counted("llm_token_usage_total", provider="p1", model="p1", kind="completion") > 0
    assert counted("llm_cost_usd_total", provider="p1", model="p1") > 0
    assert counted("answers_total", outcome="answered") == 1
    first, second = traces.spans["chat p0"], traces.spans["chat p1"]
    assert first.attributes
    assert first.attributes["error.type"] == "misconfigured"
    assert second.attributes
    assert second.attributes["eservice.attempt"] == 2
    assert second.attributes["gen_ai.usage.output_tokens"] > 0  # type: ignore[operator]
    assert first.context.trace_id == second.context.trace_id  # type: ignore[union-attr]


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def _run_until_empty(pool: db.Pool, settings: JobSettings) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Runner(pool, handlers(pool, None), settings).run(stop))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while True:
            async with db.transaction(pool) as conn:
                if not await conn.fetchval("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"):
                    break
            await asyncio.sleep(0.05)
    stop.set()
    await running


def test_the_routes_that_wait_for_a_model_exist(desk: FastAPI) -> None:
    there = {getattr(route, "path", "") for route in desk.routes}
    assert there >= INFERENCE
