"""The cache of hot reads: how often it answers, and that it never answers with what is a second old."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import cache, db, encryption, hot
from app.encryption import DataKeys, KeyEncryption, Wrapped
from app.events.relay import Relay
from app.events.sinks.invalidator import Invalidator
from app.hot import HotReads
from app.tickets import service as tickets
from app.tickets.schemas import TicketPatch
from app.vault import passing
from app.vault.passing import PassingKey
from config.profile import EventSettings
from tests import factories
from tests.integration.brokers import free_port
from tests.integration.conftest import Browser


@asynccontextmanager
async def vouching(pool: db.Pool, redis: Redis) -> AsyncIterator[None]:
    """The Worker's part."""
    stop = asyncio.Event()
    sink = Invalidator(redis)
    sink.close = redis.ping  # type: ignore[method-assign]  # the client is the test's
    task = asyncio.create_task(Relay(pool, sink, EventSettings()).run(stop))
    async with asyncio.timeout(10):
        while not await redis.exists(hot.MARK):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    try:
        yield
    finally:
        stop.set()
        await task


async def one() -> bytes:
    return b"one"


async def two() -> bytes:
    return b"two"


async def test_what_is_kept_is_answered_until_its_tag_changes(pool: db.Pool, redis: Redis) -> None:
    reads = HotReads(redis, PassingKey(pool))
    await hot.vouch(redis, time.monotonic() + 60)
    assert await reads.read("a", ("x:1", "y"), one) == b"one"
    assert await reads.read("a", ("x:1", "y"), two) == b"one"
    await reads.forget({"y"})
    assert await reads.read("a", ("x:1", "y"), two) == b"two"
    await redis.delete("hot:tag:x:1")  # evicted
    assert await reads.read("a", ("x:1", "y"), one) == b"one"
    assert (reads.figures.hits, reads.figures.misses) == (1, 3)


async def test_what_was_read_before_a_change_and_kept_after_it_does_not_count(
    pool: db.Pool, redis: Redis
) -> None:
    reads = HotReads(redis, PassingKey(pool))
    await hot.vouch(redis, time.monotonic() + 60)

    async def slow() -> bytes:
        await reads.forget({"x"})  # somebody changes it meanwhile
        return b"old"

    assert await reads.read("a", ("x",), slow) == b"old"
    assert await reads.read("a", ("x",), two) == b"two"


async def test_without_somebody_who_follows_the_log_nothing_is_kept(pool: db.Pool, redis: Redis) -> None:
    reads = HotReads(redis, PassingKey(pool))
    assert await reads.read("a", ("x",), one) == b"one"
    assert await reads.read("a", ("x",), two) == b"two"
    assert await redis.dbsize() == 0
    await hot.vouch(redis, time.monotonic())
    await reads.read("a", ("x",), one)
    await asyncio.sleep(hot.FRESH_S + 0.05)
    assert await reads.read("a", ("x",), two) == b"two", "the mark ran out"


async def test_what_is_kept_is_sealed_until_somebody_is_erased(
    pool: db.Pool, conn: db.Connection, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = HotReads(redis, PassingKey(pool))
    await hot.vouch(redis, time.monotonic() + 60)
    assert await reads.read("a", ("x",), one) == b"one"
    kept = await redis.get(f"{hot.PREFIX}a")
    assert kept
    assert b"one" not in kept
    elsewhere = HotReads(redis, PassingKey(pool))
    assert await elsewhere.read("a", ("x",), two) == b"one", "replicas share the key"
    await redis.set(f"{hot.PREFIX}b", kept)
    assert await elsewhere.read("b", ("x",), two) == b"two", "what was moved does not open"
    await passing.renew(conn)
    monkeypatch.setattr(passing, "KNOWN_S", 0.0)
    assert await HotReads(redis, PassingKey(pool)).read("a", ("x",), two) == b"two"
    assert await conn.fetchval("SELECT count(*) FROM passing_keys") == 1


async def test_without_redis_reads_work(pool: db.Pool) -> None:
    away = cache.connect(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.3)
    reads = HotReads(away, PassingKey(pool))
    started = time.monotonic()
    for _ in range(200):
        assert await reads.read("a", ("x",), one) == b"one"
        await reads.forget({"x"})
    assert time.monotonic() - started < 1, "it is asked about once a second"


class DeafVault(KeyEncryption):
    """Takes calls and answers none."""

    asked = 0

    async def wrap(self, key: bytes, person: UUID) -> Wrapped:
        self.asked += 1
        await asyncio.sleep(60)
        raise AssertionError


async def test_where_nobody_has_the_key_reads_work(
    database_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for may need neither the key nor who has it: then the cache is done without."""
    monkeypatch.setattr(encryption, "DEADLINE_S", 0.2)
    vault = DeafVault()
    keys = DataKeys(lambda: vault)
    locked = await db.connect(database_url, max_size=2, statement_timeout_s=5, keys=keys)
    await hot.vouch(redis, time.monotonic() + 60)
    reads = HotReads(redis, PassingKey(locked))
    try:
        assert await asyncio.gather(*(reads.read(f"a{n}", ("x",), one) for n in range(50))) == [b"one"] * 50
        assert vault.asked == 1, "who asks meanwhile waits for the same answer"
        assert reads.figures.skipped == 50
    finally:
        await locked.close()


async def test_where_postgresql_is_away_only_what_needs_it_fails(redis: Redis) -> None:
    nowhere = await db.connect(f"postgresql://x@127.0.0.1:{free_port()}/x", max_size=1, statement_timeout_s=1)
    await hot.vouch(redis, time.monotonic() + 60)
    reads = HotReads(redis, PassingKey(nowhere))
    assert await reads.read("a", ("x",), one) == b"one"

    async def from_the_database() -> bytes:
        async with db.transaction(nowhere):
            raise AssertionError

    with pytest.raises(db.DatabaseDown):
        await reads.read("a", ("x",), from_the_database)


async def test_who_writes_reads_their_own_write(
    pool: db.Pool, conn: db.Connection, redis: Redis, browser: Browser
) -> None:
    agent = browser(await factories.person(conn, "agent"))
    path = f"/api/v1/tickets/{(await factories.ticket(conn)).id}"
    async with vouching(pool, redis):
        for n in range(10):
            assert (await agent.get(path)).json()["version"] == n + 1
            changed = await agent.patch(path, json={"subject": f"take {n}"}, headers={"If-Match": "*"})
            assert changed.status_code == 200
        assert (await agent.get(path)).json()["subject"] == "take 9"


@pytest.mark.timeout(90)
async def test_no_read_is_staler_than_a_second(
    pool: db.Pool, conn: db.Connection, redis: Redis, browser: Browser, desk: FastAPI
) -> None:
    """Writers here tell nobody, as a job or a gateway that died after its commit: the log has to do."""
    who = await factories.person(conn, "agent")
    made, client = await factories.ticket(conn), browser(who)
    committed: dict[int, float] = {1: time.monotonic()}
    stale: list[float] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            asked = time.monotonic()
            seen = (await client.get(f"/api/v1/tickets/{made.id}")).json()["version"]
            stale.append(max([asked - at for version, at in committed.items() if version > seen], default=0))

    async with vouching(pool, redis):
        readers = [asyncio.create_task(read()) for _ in range(3)]
        for n in range(2, 14):
            await asyncio.sleep(random.uniform(0.05, 0.6))
            async with db.transaction(pool) as tx:
                await tickets.patch(tx, who, made.id, TicketPatch(subject=f"take {n}"), versions=None)
            committed[n] = time.monotonic()
        await asyncio.sleep(1.1)
        done.set()
        await asyncio.gather(*readers)
        last = (await client.get(f"/api/v1/tickets/{made.id}")).json()
    figures = desk.state.eservice.hot.figures
    print(f"{len(stale)} reads, stalest {max(stale):.3f} s, {figures}")
    assert last["version"] == 13
    assert max(stale) <= 1.0
    assert figures.hits > figures.misses + figures.skipped


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_ninety_nine_reads_of_a_hundred_hit(
    pool: db.Pool, conn: db.Connection, redis: Redis, browser: Browser, desk: FastAPI
) -> None:
    """Agents read tickets, queues, agents, skills and policies; one request in 500 is a write."""
    agent = await factories.agent(conn, "billing", skills={"invoice": 3})
    clients = [browser(agent), browser(await factories.person(conn, "supervisor"))]
    ids: list[UUID] = [(await factories.ticket(conn)).id for _ in range(30)]
    paths = [f"/api/v1/tickets/{ticket_id}" for ticket_id in ids]
    rng, figures = random.Random(7), desk.state.eservice.hot.figures
    lists = [f"/api/v1/routing/{name}" for name in ("queues", "agents", "skills")] + ["/api/v1/sla/policies"]

    async def use(requests: int) -> None:
        for _ in range(requests):
            if rng.random() < 1 / 500:
                change = {"subject": str(rng.random())}
                await clients[1].patch(rng.choice(paths), json=change, headers={"If-Match": "*"})
            path = rng.choice(lists) if rng.random() < 0.25 else rng.choice(paths)
            assert (await clients[1].get(path)).status_code == 200

    async with vouching(pool, redis):
        await use(300)  # warm
        figures.hits = figures.misses = figures.skipped = 0
        started = time.monotonic()
        await asyncio.gather(*(use(1500) for _ in range(4)))
        seconds = time.monotonic() - started
    reads = figures.hits + figures.misses + figures.skipped
    print(f"{figures.hits / reads:.2%} of {reads} reads hit, {reads / seconds:.0f}/s, {figures}")
    assert figures.hits / reads >= 0.99
