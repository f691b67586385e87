"""A year of made-up inquiries through the real services: every figure is what a slow reckoning says it is."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from app import db
from app.analytics import service
from app.analytics.measures import AGES
from app.analytics.schemas import Selection
from app.auth.schemas import Identity
from app.sla import service as sla
from app.sla.schemas import CalendarDraft, PolicyDraft
from app.state import State
from config import environment, profile
from tests import factories
from tests.integration import figures, reckoning
from tests.integration.clock import Clock
from tests.integration.year import AGENTS, QUEUES, TICK_AT, Player, lives

START = datetime(2025, 3, 10, tzinfo=UTC)
WHOLE_DAY = [{"opens": "00:00", "closes": "24:00"}]
ALWAYS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), WHOLE_DAY)
GROUPINGS: Sequence[tuple[str, ...]] = (
    *((), ("day",), ("week",), ("queue",), ("intent", "language"), ("month", "queue", "intent", "language")),
)


@dataclass
class Year:
    pool: db.Pool
    lead: Identity
    agents: Sequence[Identity]
    inquiries: Sequence[reckoning.Inquiry]
    end: datetime

    async def report(self, kind: service.Kind, wish: Selection) -> list[dict[str, Any]]:
        async with db.transaction(self.pool) as conn:
            found = await service.report(conn, self.lead, kind, wish)
        return cast(list[dict[str, Any]], found.model_dump(exclude_unset=True)["items"])


@asynccontextmanager
async def lived(database_url: str, redis: Redis, seed: int, count: int, days: int) -> AsyncIterator[Year]:
    setting = await db.connect(database_url, max_size=1, statement_timeout_s=10)
    conn = await setting.acquire()
    clock = Clock(conn)
    await clock.install(START, months=days // 28 + 2)
    pool = await db.connect(database_url, max_size=2, statement_timeout_s=30)
    settings, absent = profile.load("test"), cast(Any, None)
    parts = dict.fromkeys(
        ("embedder", "reranker", "retriever", "assistant", "chat_models", "triager"), absent
    )
    state = State(
        profile=settings,
        environment=environment.read({}),
        pool=pool,
        redis=redis,
        embedding_tokens=absent,
        **parts,
    )
    async with db.transaction(pool) as made:
        agents = [await factories.agent(made, *QUEUES) for _ in range(AGENTS)]
        lead = await factories.person(made, "supervisor")
        await sla.ensure_calendar(
            made, CalendarDraft.model_validate({"name": "a", "zone": "UTC", "week": ALWAYS})
        )
        targets = {
            f"{kind}_min": int(target.total_seconds() // 60) for kind, target in reckoning.TARGETS.items()
        }
        await sla.ensure_policy(made, PolicyDraft.model_validate({"name": "p", "calendar": "a", **targets}))
    planned = lives(seed, count, START, days)
    await Player(state, clock, agents, lead).play(planned, START, days)
    end = START + timedelta(days=days)
    await clock.set(end)
    async with db.transaction(pool) as refreshing:
        await service.refresh(refreshing)
    ticks = [START + timedelta(days=n) + TICK_AT for n in range(days)]
    yield Year(pool, lead, agents, [reckoning.inquiry(life, ticks) for life in planned], end)
    pool.terminate()
    setting.terminate()


async def every_figure_is_right(year: Year, days: int) -> None:
    known_then = [START + timedelta(days=days * part) for part in (0.3, 0.7)]
    for known in (None, *known_then):
        for by in GROUPINGS:
            await compare(year, known, by, "UTC")
        await compare(year, known, ("day", "language"), "Australia/Lord_Howe")
        await compare_backlog(year, known)
        await compare_agents(year, known)


async def compare(year: Year, known: datetime | None, by: tuple[str, ...], tz: str) -> None:
    first, last = START.date() + timedelta(days=3), year.end.date()
    wish = Selection(first=first, last=last, tz=tz, by=by, known_at=known)
    rows = await year.report(service.OVERVIEW, wish)
    counted = {tuple(row.pop(name) for name in by): row for row in rows}
    found = figures.facts(year.inquiries, known or year.end)
    expected = {
        key: figures.measured(group) for key, group in figures.grouped(found, first, last, tz, by).items()
    }
    assert counted.keys() == expected.keys()
    for key, row in counted.items():
        assert not differences(row, expected[key]), (known, by, key)


def differences(counted: dict[str, Any], expected: dict[str, float | None]) -> dict[str, Any]:
    """Figures that are not what they should be: name to both values. Sums of floats differ in last bits."""
    assert counted.keys() == expected.keys()
    return {
        name: (value, expected[name])
        for name, value in counted.items()
        if (value is None) != (expected[name] is None)
        or not math.isclose(value or 0, expected[name] or 0, rel_tol=1e-9, abs_tol=1e-9)
    }


async def compare_backlog(year: Year, known: datetime | None) -> None:
    last = year.end.date() - timedelta(days=1)
    first = max(START.date(), last - timedelta(days=60))
    wish = Selection(first=first, last=last, by=("day", "queue"), known_at=known)
    rows = await year.report(service.BACKLOG, wish)
    counted = {(row["day"], row["queue"]): row for row in rows}
    expected: dict[tuple[date, str | None], list[float]] = {}
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if begins <= (known or year.end):
            ends = min(begins + timedelta(days=1), known or year.end)
            for age, (queue, _, _) in figures.backlog(year.inquiries, ends, known or year.end):
                expected.setdefault((day, queue), []).append(age)
    assert {key: row["open"] for key, row in counted.items()} == {
        key: len(ages) for key, ages in expected.items()
    }
    for key, ages in expected.items():
        for name, low, high in AGES:
            assert counted[key][name] == sum(low <= age < (high or 1e9) for age in ages), (key, name)
        assert counted[key]["oldest_s"] == pytest.approx(max(ages) * 3600)


async def compare_agents(year: Year, known: datetime | None) -> None:
    wish = Selection(first=START.date(), last=year.end.date(), known_at=known)
    async with db.transaction(year.pool) as conn:
        found = await service.agents(conn, year.lead, wish)
    counted = {row["agent_id"]: row for row in found.model_dump()["items"]}
    facts = figures.facts(year.inquiries, known or year.end)
    for n, agent in enumerate(year.agents):
        did = [fact.value for fact in facts if fact.kind == "resolution" and fact.value[1] == n]
        replied = [f for f in facts if f.kind == "replied" and f.inquiry.reply and f.inquiry.reply[2] == n]
        row = counted[agent.id]
        assert (row["resolved"], row["returned"]) == (len(did), sum(undone for undone, _ in did))
        assert row["first_replies"] == len(replied)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_a_month_of_inquiries(database_url: str, redis: Redis, seed: int) -> None:
    async with lived(database_url, redis, seed, count=40, days=30) as year:
        await every_figure_is_right(year, 30)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_year_of_a_thousand_inquiries(database_url: str, redis: Redis) -> None:
    async with lived(database_url, redis, seed=2025, count=1000, days=365) as year:
        await every_figure_is_right(year, 365)
