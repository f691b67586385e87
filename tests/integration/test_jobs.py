"""Jobs on a real PostgreSQL: one effect each, whoever dies when."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from app import db
from app.jobs import repository, service
from app.jobs.runner import LeaseLost, OnceEffect, Runner, backoff_s
from app.jobs.schemas import Effect, Handler, Job
from config.profile import JobSettings

FAST = JobSettings(
    poll_s=0.01, lease_s=0.6, max_attempts=3, backoff_base_s=0.01, backoff_max_s=0.02, drain_s=1, timeout_s=5
)


@pytest.fixture
async def effects(conn: db.Connection) -> None:
    await conn.execute("CREATE TABLE effects (job_id uuid NOT NULL, note text NOT NULL DEFAULT '')")


async def write(conn: db.Connection, job: Job) -> None:
    await conn.execute("INSERT INTO effects (job_id) VALUES ($1)", job.id)


async def add(job: Job, effect: Effect) -> None:
    async with effect() as conn:
        await write(conn, job)


@asynccontextmanager
async def working(
    pool: db.Pool, handler: Handler, settings: JobSettings = FAST
) -> AsyncIterator[tuple[Runner, asyncio.Event]]:
    runner, stop = Runner(pool, {"add": handler}, settings), asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield runner, stop
    finally:
        stop.set()
        await task


async def enqueue(pool: db.Pool, kind: str = "add", **more: str) -> UUID:
    async with db.transaction(pool) as conn:
        job_id = await service.enqueue(conn, kind, dict(more))
    assert job_id
    return job_id


async def ended(pool: db.Pool, job_id: UUID, status: str = "done") -> Job:
    async with asyncio.timeout(10):
        while True:
            async with db.transaction(pool) as conn:
                job = await service.get(conn, job_id)
            if job.status == status:
                return job
            await asyncio.sleep(0.01)


async def count(pool: db.Pool, job_id: UUID) -> int:
    async with db.transaction(pool) as conn:
        n: int = await conn.fetchval("SELECT count(*) FROM effects WHERE job_id = $1", job_id)
        return n


async def taken(pool: db.Pool) -> Job:
    async with db.transaction(pool) as conn:
        (job,) = await repository.take(conn, limit=1, lease_s=60)
        return job


async def expire(pool: db.Pool, job: Job) -> None:
    async with db.transaction(pool) as conn:
        await conn.execute("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = $1", job.id)


async def test_a_job_of_a_change_that_was_rolled_back_does_not_exist(pool: db.Pool) -> None:
    async def change_and_fail() -> None:
        async with db.transaction(pool) as conn:
            await service.enqueue(conn, "add", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    async with db.transaction(pool) as conn:
        assert await service.depth(conn) == 0


@pytest.mark.usefixtures("effects")
async def test_a_job_runs_once_and_is_done(pool: db.Pool) -> None:
    job_id = await enqueue(pool)
    async with working(pool, add):
        job = await ended(pool, job_id)
    assert (job.attempts, job.lease_token, job.last_error) == (1, None, None)
    assert await count(pool, job_id) == 1


@pytest.mark.usefixtures("effects")
async def test_two_runners_never_take_one_job_twice(pool: db.Pool) -> None:
    calls: list[UUID] = []

    async def note(job: Job, effect: Effect) -> None:
        calls.append(job.id)
        await add(job, effect)

    wanted = [await enqueue(pool) for _ in range(60)]
    async with working(pool, note), working(pool, note):
        for job_id in wanted:
            await ended(pool, job_id)
    assert sorted(calls) == sorted(wanted)


class Killed(BaseException):
    """Stands for `kill -9`: no handler of errors sees it, nothing is cleaned up in the database."""


async def die_before(job: Job, effect: Effect, pool: db.Pool) -> None:
    raise Killed


async def die_in_effect(job: Job, effect: Effect, pool: db.Pool) -> None:
    async with effect() as conn:
        await write(conn, job)
        raise Killed


async def die_after(job: Job, effect: Effect, pool: db.Pool) -> None:
    await add(job, effect)
    raise Killed


async def cut_before_commit(job: Job, effect: Effect, pool: db.Pool) -> None:
    """PostgreSQL loses the connection when all is written and nothing is committed."""
    async with effect() as conn:
        await write(conn, job)
        pid = await conn.fetchval("SELECT pg_backend_pid()")
        async with pool.acquire() as other:
            await other.execute("SELECT pg_terminate_backend($1)", pid)


@pytest.mark.usefixtures("effects")
@pytest.mark.parametrize("death", [die_before, die_in_effect, die_after, cut_before_commit])
async def test_redelivered_after_a_death_at_any_point_it_has_one_effect(
    pool: db.Pool, death: Callable[[Job, Effect, db.Pool], Awaitable[None]]
) -> None:
    job_id = await enqueue(pool)
    job = await taken(pool)
    with pytest.raises((Killed, db.DatabaseDown, asyncpg.PostgresError)):
        await death(job, OnceEffect(pool, job), pool)
    await expire(pool, job)
    async with working(pool, add):
        await ended(pool, job_id)
    assert await count(pool, job_id) == 1


@pytest.mark.usefixtures("effects")
async def test_a_lost_lease_commits_nothing(pool: db.Pool) -> None:
    """A runner that slept through its lease wakes up when another one has done the job."""
    job_id, proceed = await enqueue(pool), asyncio.Event()
    first = await taken(pool)

    async def late() -> None:
        await proceed.wait()
        await add(first, OnceEffect(pool, first))

    sleeper = asyncio.create_task(late())
    await expire(pool, first)
    async with working(pool, add):
        await ended(pool, job_id)
    proceed.set()
    with pytest.raises(LeaseLost):
        await sleeper
    assert await count(pool, job_id) == 1


@pytest.mark.usefixtures("effects")
async def test_a_job_that_runs_longer_than_its_lease_keeps_it(pool: db.Pool) -> None:
    calls = 0

    async def slow(job: Job, effect: Effect) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(3 * FAST.lease_s)
        await add(job, effect)

    job_id = await enqueue(pool)
    async with working(pool, slow), working(pool, slow):
        await ended(pool, job_id)
    assert calls == 1


@pytest.mark.usefixtures("effects")
async def test_failures_are_retried_then_dead_then_replayed(pool: db.Pool) -> None:
    broken = True

    async def fail(job: Job, effect: Effect) -> None:
        if broken:
            raise ValueError("no luck \x00 today")
        await add(job, effect)

    job_id = await enqueue(pool)
    async with working(pool, fail):
        job = await ended(pool, job_id, "dead")
        assert (job.attempts, job.last_error) == (3, "ValueError: no luck  today")
        async with db.transaction(pool) as conn:
            assert [each.id for each in await service.dead(conn)] == [job_id]
            broken = False
            await service.replay(conn, job_id)
        await ended(pool, job_id)
    assert await count(pool, job_id) == 1
    async with db.transaction(pool) as conn:
        with pytest.raises(service.JobNotDead):
            await service.replay(conn, job_id)


@pytest.mark.usefixtures("effects")
async def test_an_effect_that_fails_leaves_nothing(pool: db.Pool) -> None:
    async def half(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await write(conn, job)
            raise ValueError("after the write")

    job_id = await enqueue(pool)
    async with working(pool, half):
        await ended(pool, job_id, "dead")
    assert await count(pool, job_id) == 0


async def test_an_unknown_kind_ends_dead_and_says_so(pool: db.Pool) -> None:
    job_id = await enqueue(pool, "polish")
    async with working(pool, add):
        job = await ended(pool, job_id, "dead")
    assert job.last_error == "UnknownKind: no handler for kind 'polish'; there are: add"


async def test_a_job_that_kills_its_runners_is_buried(pool: db.Pool) -> None:
    job_id = await enqueue(pool)
    for _ in range(FAST.max_attempts):
        job = await taken(pool)
        await expire(pool, job)
        async with db.transaction(pool) as conn:
            await repository.reclaim(conn, max_attempts=FAST.max_attempts)
    job = await ended(pool, job_id, "dead")
    assert job.last_error
    assert "lease ran out" in job.last_error


@pytest.mark.usefixtures("effects")
async def test_draining_ends_what_runs_and_takes_nothing_new(pool: db.Pool) -> None:
    started = asyncio.Event()

    async def slow(job: Job, effect: Effect) -> None:
        started.set()
        await asyncio.sleep(0.2)
        await add(job, effect)

    first = await enqueue(pool)
    async with working(pool, slow) as (_, stop):
        await started.wait()
        stop.set()
        second = await enqueue(pool)
    async with db.transaction(pool) as conn:
        assert (await service.get(conn, first)).status == "done"
        assert (await service.get(conn, second)).status == "queued"


@pytest.mark.usefixtures("effects")
async def test_what_does_not_end_in_time_is_given_back_at_once(pool: db.Pool) -> None:
    started = asyncio.Event()

    async def endless(job: Job, effect: Effect) -> None:
        started.set()
        async with effect() as conn:
            await write(conn, job)
            await asyncio.sleep(60)

    job_id = await enqueue(pool)
    async with working(pool, endless, FAST.model_copy(update={"drain_s": 0.1})) as (_, stop):
        await started.wait()
        stop.set()
    async with db.transaction(pool) as conn:
        job = await service.get(conn, job_id)
    assert (job.status, job.attempts, job.lease_token) == ("queued", 0, None)
    assert await count(pool, job_id) == 0


async def test_a_key_stands_for_waiting_jobs_only(pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        assert await service.enqueue(conn, "add", {}, dedupe_key="k")
        assert await service.enqueue(conn, "add", {}, dedupe_key="k") is None
        assert await service.enqueue(conn, "other", {}, dedupe_key="k")
    await taken(pool)
    async with db.transaction(pool) as conn:
        assert await service.enqueue(conn, "add", {}, dedupe_key="k")


async def test_a_job_for_later_waits(pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        await service.enqueue(conn, "add", {}, run_at=datetime.now(UTC) + timedelta(hours=1))
        assert await service.depth(conn) == 0
        assert await repository.take(conn, limit=1, lease_s=1) == []


@pytest.mark.usefixtures("effects")
async def test_the_runner_outlives_its_connections(pool: db.Pool, conn: db.Connection) -> None:
    async with working(pool, add):
        for _ in range(3):
            await conn.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                """
            )
            job_id: UUID = await conn.fetchval("INSERT INTO jobs (kind) VALUES ('add') RETURNING id")
            async with asyncio.timeout(10):
                while not await conn.fetchval("SELECT status = 'done' FROM jobs WHERE id = $1", job_id):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


def test_back_off_grows_to_its_ceiling() -> None:
    settings = JobSettings(backoff_base_s=1, backoff_max_s=30)
    for attempt in range(1, 12):
        assert 0 <= backoff_s(attempt, settings) <= min(30, 2 ** (attempt - 1))
