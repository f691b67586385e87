"""The log of events on a real PostgreSQL: nothing lost, nothing made up, everything in order."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from app import db
from app.auth.schemas import Identity
from app.events import repository, service
from app.events.relay import Batch, Relay
from app.events.schemas import DomainEvent
from app.events.sinks.redis_stream import RedisStream, StreamAhead
from app.tickets import csat, desk
from app.tickets import service as tickets
from app.tickets.assignment import assign
from app.tickets.schemas import Assignment, CsatDraft, MessageDraft, TicketPatch
from config.profile import EventSettings
from tests import factories
from tests.integration.conftest import Browser

FAST = EventSettings(poll_s=0.02, lease_s=1.0, timeout_s=0.8, batch=7)


@dataclass
class Memory:
    """A sink that keeps what it gets, and fails as often as told."""

    name: str = "memory"
    failures: int = 0
    events: list[DomainEvent] = field(default_factory=list)

    async def deliver(self, batch: Batch) -> None:
        if batch.events and self.failures:
            self.failures -= 1
            raise ConnectionError("the broker is away")
        self.events += batch.events

    async def close(self) -> None: ...


async def log(pool: db.Pool) -> list[DomainEvent]:
    """All of it, in the order of its positions."""
    async with db.transaction(pool) as conn:
        await service.place(conn)
    async with db.transaction(pool) as conn:
        return await service.after(conn, 0, 100_000)


async def say(conn: db.Connection, thing: UUID, kind: str = "changed") -> None:
    await service.publish(conn, "thing", thing, kind, "system:test", {})


async def started(relay: Relay) -> Relay:
    """A consumer begins with what comes after it is first there."""
    await relay.once()
    return relay


def told(events: Sequence[DomainEvent], thing: UUID) -> list[str]:
    return [event.kind for event in events if event.aggregate_id == thing]


async def test_every_change_of_a_ticket_is_in_the_log_as_in_its_history(
    pool: db.Pool, conn: db.Connection
) -> None:
    await factories.queue(conn, "billing")
    customer, agent = await factories.person(conn), await factories.person(conn, "agent")
    made = await factories.ticket(conn, customer, subject="My secret subject")
    async with db.transaction(pool) as tx:
        patch = TicketPatch(subject="Another secret", queue="billing", custom={"a": "secret"})
        await tickets.patch(tx, agent, made.id, patch, versions=None)
        await assign(tx, agent, made.id, Assignment(action="take"))
        await tickets.add_message(tx, agent, made.id, MessageDraft(body="secret"))
        await tickets.add_message(tx, agent, made.id, MessageDraft(body="secret", internal=True))
        await desk.note(tx, made.id, "system:sla", "sla_warning", {"percent": 50})
        await tickets.transition(tx, agent, made.id, "resolved")
        await csat.rate(tx, customer, made.id, CsatDraft(score=4))
    events = [event for event in await log(pool) if event.aggregate_id == made.id]
    history = await conn.fetch(
        "SELECT id, kind, data FROM ticket_events WHERE ticket_id = $1 ORDER BY id", made.id
    )
    assert [(e.id, e.kind, e.data) for e in events] == [(h["id"], h["kind"], h["data"]) for h in history]
    kinds = "created changed assigned message_added note_added sla_warning status_changed rated"
    assert " ".join(event.kind for event in events) == kinds
    assert events[1].data == {"queue": "billing", "fields": ["custom", "queue", "subject"]}
    assert "secret" not in json.dumps([event.model_dump(mode="json") for event in events])


async def test_what_is_rolled_back_is_never_said(pool: db.Pool) -> None:
    async def change_and_fail() -> None:
        async with db.transaction(pool) as conn:
            await say(conn, uuid4())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    assert await log(pool) == []


async def test_who_reads_on_misses_nothing_that_began_earlier_and_was_committed_later(pool: db.Pool) -> None:
    slow, quick = uuid4(), uuid4()
    sink = Memory()
    relay = await started(Relay(pool, sink, FAST))
    async with db.transaction(pool) as conn:
        await say(conn, slow)
        async with db.transaction(pool) as other:
            await say(other, quick)
        await relay.once()
        assert [event.aggregate_id for event in sink.events] == [quick]
    await relay.once()
    assert [event.aggregate_id for event in sink.events] == [quick, slow]
    assert [event.position for event in sink.events] == [1, 2]


async def test_the_order_of_a_thing_is_the_order_of_its_changes_however_many_write(pool: db.Pool) -> None:
    """Eight writers on three tickets; transactions that touch several begin and end in any order."""
    async with db.transaction(pool) as conn:
        made = [await factories.ticket(conn) for _ in range(3)]

    async def write(n: int) -> None:
        for step in range(8):
            async with db.transaction(pool) as conn:
                await say(conn, uuid4())  # takes a transaction id before any lock
                for ticket in sorted({made[(n + step) % 3].id, made[(n * step) % 3].id}):
                    await desk.lock(conn, ticket)
                    count = await conn.fetchval(
                        "UPDATE tickets SET version = version + 1 WHERE id = $1 RETURNING version", ticket
                    )
                    await asyncio.sleep(0)
                    await service.publish(conn, "ticket", ticket, "step", "system:test", {"n": count})

    sink, stop = Memory(), asyncio.Event()
    relay = await started(Relay(pool, sink, FAST))
    carrying = asyncio.create_task(relay.run(stop))
    await asyncio.gather(*(write(n) for n in range(8)))
    whole = await log(pool)
    async with asyncio.timeout(20):
        # what the factories said came before this sink
        while len(sink.events) < len(whole) - 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await carrying
    for ticket in made:
        steps = [e.data["n"] for e in sink.events if e.aggregate_id == ticket.id and e.kind == "step"]
        assert steps == sorted(steps, key=int)
        assert len(steps) > 15
    positions = [event.position for event in sink.events]
    assert positions == list(range(positions[0], positions[0] + len(positions)))


async def test_a_sink_that_was_away_gets_everything_in_order(pool: db.Pool) -> None:
    sink, stop = Memory(failures=3), asyncio.Event()
    carrying = asyncio.create_task((await started(Relay(pool, sink, FAST))).run(stop))
    thing = uuid4()
    for n in range(20):
        async with db.transaction(pool) as conn:
            await say(conn, thing, f"step_{'x' * n}")
    async with asyncio.timeout(20):
        while len(sink.events) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await carrying
    assert told(sink.events, thing) == [f"step_{'x' * n}" for n in range(20)]


async def test_one_process_reads_for_a_sink_and_another_takes_over(pool: db.Pool) -> None:
    sink = Memory()
    first, second = Relay(pool, sink, FAST), Relay(pool, sink, FAST)
    await started(first)
    async with db.transaction(pool) as conn:
        await say(conn, uuid4())
    assert await second.once() is False
    assert sink.events == []
    await asyncio.sleep(FAST.lease_s + 0.1)  # the first died
    await second.once()
    assert len(sink.events) == 1
    async with db.transaction(pool) as conn:
        await say(conn, uuid4())
    await first.once()
    assert len(sink.events) == 1, "its lease is gone"


async def test_what_redis_got_twice_stands_in_its_stream_once(pool: db.Pool, redis: Redis) -> None:
    sink = RedisStream(redis, "events", maxlen=1000)
    relay = await started(Relay(pool, sink, FAST))
    thing = uuid4()
    async with db.transaction(pool) as conn:
        for kind in ("one", "two", "three"):
            await say(conn, thing, kind)
    await relay.once()
    async with db.transaction(pool) as conn:  # as after a crash between the delivery and its record
        await conn.execute("UPDATE event_cursors SET position = 0")
        await say(conn, thing, "four")
    await relay.once()
    entries = await redis.xrange("events")
    assert [entry[b"kind"] for _, entry in entries] == [b"one", b"two", b"three", b"four"]
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"2-0", b"3-0", b"4-0"]
    assert json.loads(entries[0][1][b"data"]) == {}


async def test_a_stream_of_another_database_is_not_written_to(pool: db.Pool, redis: Redis) -> None:
    await redis.xadd("events", {"id": "something else"}, id="1-0")
    relay = await started(Relay(pool, RedisStream(redis, "events", maxlen=1000), FAST))
    async with db.transaction(pool) as conn:
        await say(conn, uuid4())
    with pytest.raises(StreamAhead):
        await relay.once()


async def test_the_stream_is_bounded(pool: db.Pool, redis: Redis) -> None:
    relay = await started(Relay(pool, RedisStream(redis, "events", maxlen=100), FAST))
    async with db.transaction(pool) as conn:
        for _ in range(600):
            await say(conn, uuid4())
    while await relay.once():
        pass
    assert await redis.xlen("events") < 300


async def test_months_are_made_ahead_and_dropped(pool: db.Pool, conn: db.Connection) -> None:
    async def months() -> list[str]:
        rows = await conn.fetch(
            """
            SELECT inhrelid::regclass::text AS name FROM pg_inherits
             WHERE inhparent = 'domain_events'::regclass
            """
        )
        return sorted(row["name"] for row in rows)

    assert len(await months()) == 4
    assert await repository.keep_partitions(conn, ahead=5, keep=3) == (2, 0)
    await conn.execute(
        """
        CREATE TABLE domain_events_y2020m01 PARTITION OF domain_events
        FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')
        """
    )
    assert await repository.keep_partitions(conn, ahead=5, keep=3) == (0, 1)
    assert len(await months()) == 6


@pytest.fixture
def brief_streams(desk: FastAPI) -> FastAPI:
    """Streams end within half a second, so that a test can read them whole."""
    settings = EventSettings(poll_s=0.02, stream_s=0.5, max_streams=2)
    state = desk.state.eservice
    state.profile = state.profile.model_copy(update={"events": settings})
    state.feed = type(state.feed)(state.pool, settings)
    return desk


def parsed(body: str) -> list[tuple[int | None, str, dict[str, object]]]:
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


SSE = {"Accept": "text/event-stream"}


async def test_a_ticket_is_followed_live_by_who_may_see_it(
    conn: db.Connection, browser: Browser, brief_streams: FastAPI
) -> None:
    customer: Identity = await factories.person(conn)
    agent = browser(await factories.person(conn, "agent"))
    made, other = await factories.ticket(conn, customer), await factories.ticket(conn)
    path = f"/api/v1/tickets/{made.id}"

    async def act() -> None:
        await asyncio.sleep(0.15)
        await agent.post(f"{path}/messages", json={"body": "a note", "internal": True})
        await agent.post(f"/api/v1/tickets/{other.id}/messages", json={"body": "elsewhere"})
        await agent.post(f"{path}/messages", json={"body": "a reply"})

    theirs, ours, _ = await asyncio.gather(
        browser(customer).get(f"{path}/events", headers=SSE), agent.get(f"{path}/events", headers=SSE), act()
    )
    assert theirs.headers["Content-Type"].startswith("text/event-stream")
    assert [kind for _, kind, _ in parsed(theirs.text)] == ["ticket.message_added"]
    assert [kind for _, kind, _ in parsed(ours.text)] == ["ticket.note_added", "ticket.message_added"]
    noted = parsed(ours.text)[0][0]
    again = await agent.get(f"{path}/events", headers=SSE | {"Last-Event-ID": str(noted)})
    assert [kind for _, kind, _ in parsed(again.text)] == ["ticket.message_added"]
    stranger = browser(await factories.person(conn))
    assert (await stranger.get(f"{path}/events", headers=SSE)).status_code == 404


async def test_agents_follow_the_whole_desk(
    conn: db.Connection, browser: Browser, brief_streams: FastAPI
) -> None:
    who = await factories.person(conn)
    customer, agent = browser(who), browser(await factories.person(conn, "agent"))
    assert (await customer.get("/api/v1/events")).status_code == 403
    async with asyncio.timeout(10):
        stream, _ = await asyncio.gather(
            agent.get("/api/v1/events"),
            _after(0.15, customer, {"subject": "Live", "body": "Does it arrive?"}),
        )
    (position, kind, event) = parsed(stream.text)[0]
    assert (kind, event["position"], event["actor"]) == ("ticket.created", position, f"user:{who.id}")
    early = await agent.get("/api/v1/events", headers={"Last-Event-ID": "999999"})
    assert [kind for _, kind, _ in parsed(early.text)] == ["reset"]
    assert (await agent.get("/api/v1/events", headers={"Last-Event-ID": "x"})).status_code == 422


async def _after(seconds: float, client: httpx.AsyncClient, draft: dict[str, str]) -> None:
    await asyncio.sleep(seconds)
    assert (await client.post("/api/v1/tickets", json=draft)).status_code == 201


async def test_a_stream_ends_with_the_login_of_who_reads_it(
    conn: db.Connection, browser: Browser, desk: FastAPI
) -> None:
    """Also in the minutes before it would have been looked at again."""
    who, admin = await factories.person(conn, "agent"), browser(await factories.person(conn, "admin"))
    agent, made = browser(who), await factories.ticket(conn)
    key = (await agent.post("/api/v1/api-keys", json={"name": "ci", "scopes": ["tickets:read"]})).json()
    program = browser(who)
    program.headers["Authorization"] = f"Bearer {key['key']}"
    paths = ("/api/v1/events", f"/api/v1/tickets/{made.id}/events")

    async def end(reader: httpx.AsyncClient, paths: Sequence[str], ending: Awaitable[httpx.Response]) -> None:
        reading = [asyncio.create_task(reader.get(path, headers=SSE)) for path in paths]
        async with asyncio.timeout(30):
            while desk.state.eservice.feed.listeners < len(paths):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            assert (await ending).is_success
            answers = await asyncio.gather(*reading)
        last = [int(answer.text.rstrip().rpartition("id: ")[2].partition("\n")[0]) for answer in answers]
        assert last == [(await log(desk.state.eservice.pool))[-1].position] * len(paths), (
            "not the same end again"
        )

    await end(program, paths[1:], agent.delete(f"/api/v1/api-keys/{key['id']}"))
    await end(agent, paths, admin.patch(f"/api/v1/users/{who.id}", json={"active": False}))
    assert (await agent.get(paths[0], headers=SSE)).status_code == 401


async def test_streams_are_limited(conn: db.Connection, browser: Browser, brief_streams: FastAPI) -> None:
    agent = browser(await factories.person(conn, "agent"))
    answers = await asyncio.gather(*(agent.get("/api/v1/events") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    assert (await agent.get("/api/v1/events")).status_code == 200


async def test_nobody_takes_all_the_streams(
    conn: db.Connection, browser: Browser, brief_streams: FastAPI
) -> None:
    state = brief_streams.state.eservice
    settings = state.profile.events.model_copy(update={"max_streams": 5, "max_streams_each": 2})
    state.feed = type(state.feed)(state.pool, settings)
    greedy, other = [browser(await factories.person(conn, "agent")) for _ in range(2)]
    answers = await asyncio.gather(
        *(who.get("/api/v1/events", headers=SSE) for who in [greedy] * 4 + [other])
    )
    assert sorted(answer.status_code for answer in answers[:4]) == [200, 200, 429, 429]
    assert answers[4].status_code == 200
    assert (await greedy.get("/api/v1/events", headers=SSE)).status_code == 200, "they ended"
