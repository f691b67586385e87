"""Events on their way to a real receiver: from the change, through the log and the jobs, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from app import db
from app.events import service as events
from app.events.relay import Batch, Relay
from app.jobs import service as jobs
from app.jobs.runner import Runner
from app.jobs.schemas import Effect, Job
from app.webhooks import jobs as webhooks
from app.webhooks.destinations import LOOPBACK, Destinations, SystemResolver
from app.webhooks.fan_out import FanOut
from app.webhooks.sending import Sender
from config.profile import EventSettings, JobSettings
from config.webhooks import WebhookSettings
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.receiver import Receiver, receiving

PATH = "/api/v1/admin/webhooks"
FAST = WebhookSettings(
    allow_loopback=True,
    timeout_s=0.5,
    connect_s=0.5,
    claim_s=1.0,
    turn_s=2.0,
    rest_base_s=0.02,
    rest_max_s=0.05,
)
LOG = EventSettings(poll_s=0.02)
WORK = JobSettings(poll_s=0.02, lease_s=5, backoff_base_s=0.01)


@dataclass
class Hook:
    """An endpoint of the API, and its receiver."""

    admin: httpx.AsyncClient
    receiver: Receiver
    made: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{PATH}/{self.made['id']}"

    async def shown(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.admin.get(self.path)).json()
        return answer

    async def deliveries(self, status: str = "") -> list[dict[str, Any]]:
        params = {"status": status} if status else {}
        items: list[dict[str, Any]] = (await self.admin.get(f"{self.path}/deliveries", params=params)).json()[
            "items"
        ]
        return items

    async def delivery(self, event_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.admin.get(f"{self.path}/deliveries/{event_id}")).json()
        return answer

    def read(self, secret: str | None = None) -> list[dict[str, Any]]:
        return [each.verified(secret or self.made["secret"]) for each in self.receiver.got]


Hooks = Callable[..., Awaitable[Hook]]


@pytest.fixture
async def hook(conn: db.Connection, browser: Browser) -> AsyncIterator[Hooks]:
    admin = browser(await factories.person(conn, "admin"))
    async with receiving() as first:
        receivers = [first]

        async def make(*types: str, receiver: Receiver | None = None) -> Hook:
            target = receiver or receivers.pop()
            draft = {"url": target.url, "event_types": list(types) or ["ticket.*"]}
            answer = await admin.post(PATH, json=draft)
            assert answer.status_code == 201, answer.text
            return Hook(admin, target, answer.json())

        yield make


@asynccontextmanager
async def working(pool: db.Pool, settings: WebhookSettings = FAST) -> AsyncIterator[None]:
    """The Worker's part of it: the relay that makes deliveries, and the lane that sends them."""
    destinations = Destinations(SystemResolver(), LOOPBACK)
    deliverer = webhooks.Deliverer(pool, Sender(destinations, settings), settings)
    relay = Relay(pool, FanOut(pool, settings), LOG)
    pace = WORK.model_copy(update={"concurrency": settings.endpoints_at_once})
    runner, stop = Runner(pool, deliverer.handlers(), pace, webhooks.LANE), asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in (relay, runner)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await deliverer.close()


async def eventually(check: Callable[[], Awaitable[Any]], timeout_s: float = 15) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (found := await check()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def arrived(receiver: Receiver, count: int) -> None:
    async def check() -> bool:
        return len(receiver.got) >= count

    await eventually(check)


async def begun(pool: db.Pool, settings: WebhookSettings = FAST) -> None:
    """One pass of the relay, which reads from the first time that it was there."""
    relay = Relay(pool, FanOut(pool, settings), LOG)
    await relay.once()
    await relay._let_go()


async def make_due(conn: db.Connection, hook: Hook) -> None:
    """Nobody waits for the schedule here."""
    await conn.execute("UPDATE webhook_deliveries SET due_at = now() WHERE status = 'pending'")
    await conn.execute("UPDATE webhook_endpoints SET resting_until = NULL")
    await webhooks.wake_when_due(conn, UUID(hook.made["id"]))


async def test_an_event_arrives_signed_under_its_own_id(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    early = await factories.ticket(conn)
    made = await hook("ticket.created")
    ticket = await factories.ticket(conn, subject="My secret subject")
    async with working(pool):
        await arrived(made.receiver, 1)
    (read,) = made.read()
    (got,) = made.receiver.got
    event = await conn.fetchrow("SELECT * FROM domain_events WHERE aggregate_id = $1", ticket.id)
    assert event
    assert got.headers["webhook-id"] == str(event["id"])
    assert got.headers["content-type"] == "application/json"
    assert (read["type"], read["data"]["aggregate_id"]) == ("ticket.created", str(ticket.id))
    assert datetime.fromisoformat(read["timestamp"]) == event["occurred_at"]
    assert b"secret" not in got.body
    assert str(early.id).encode() not in got.body
    found = await made.delivery(str(event["id"]))
    assert (found["status"], found["attempts"], found["next_attempt_at"]) == ("delivered", 1, None)
    assert [(each["status_code"], each["error"], each["response"]) for each in found["tries"]] == [
        (200, None, "hello")
    ]
    with pytest.raises(WebhookVerificationError):
        got.verified("whsec_" + "A" * 43 + "=")


async def test_what_fails_is_sent_again_the_same_until_it_is_taken(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    made.receiver.answers = [500, 302]
    ticket = await factories.ticket(conn)
    async with working(pool):
        for attempts in (1, 2):
            await arrived(made.receiver, attempts)
            await eventually(lambda n=attempts: _tried(made, n))  # type: ignore[misc]
            await make_due(conn, made)
        await arrived(made.receiver, 3)
        (found,) = await eventually(lambda: made.deliveries("delivered"))
    assert len({(each.headers["webhook-id"], each.body) for each in made.receiver.got}) == 1
    assert made.read()[0]["data"]["aggregate_id"] == str(ticket.id)
    assert (found["attempts"], (await made.shown())["failures"]) == (3, 0)
    tries = (await made.delivery(found["event_id"]))["tries"]
    assert [each["error"] for each in tries] == [None, "HTTP 302: redirects are not followed", "HTTP 500"]


async def _tried(hook: Hook, attempts: int) -> bool:
    found = await hook.deliveries()
    return bool(found) and found[0]["attempts"] >= attempts


async def test_after_the_last_attempt_it_is_dead_until_it_is_replayed(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    made.receiver.answers = [503]
    async with working(pool):
        await factories.ticket(conn)
        await eventually(lambda: _tried(made, 1))
        (waits,) = await made.deliveries("pending")
        in_s = datetime.fromisoformat(waits["next_attempt_at"]) - datetime.now(UTC)
        assert in_s < timedelta(seconds=6)
        made.receiver.answers = [503]
        await conn.execute("UPDATE webhook_deliveries SET attempts = 9")
        await make_due(conn, made)
        (dead,) = await eventually(lambda: made.deliveries("dead"))
        assert (dead["attempts"], dead["last_error"], dead["next_attempt_at"]) == (10, "HTTP 503", None)
        answer = await made.admin.post(f"{made.path}/deliveries/{dead['event_id']}/replay")
        assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "pending", 0)
        await make_due(conn, made)
        await eventually(lambda: made.deliveries("delivered"))
    assert len(set(made.receiver.ids())) == 1


async def test_both_secrets_sign_while_they_overlap(pool: db.Pool, conn: db.Connection, hook: Hooks) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    rotated = (await made.admin.post(f"{made.path}/secret", json={"overlap_s": 3600})).json()
    assert rotated["secret"] != made.made["secret"]
    async with working(pool):
        await factories.ticket(conn)
        await arrived(made.receiver, 1)
        assert made.read()[0] == made.read(rotated["secret"])[0]
        await conn.execute("UPDATE webhook_endpoints SET former_secret_until = now() - interval '1 s'")
        await factories.ticket(conn)
        await arrived(made.receiver, 2)
    last = made.receiver.got[1]
    assert last.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        last.verified(made.made["secret"])
    await _sweep(conn)
    assert await conn.fetchval("SELECT former_secret IS NULL FROM webhook_endpoints")
    assert (await made.admin.post(f"{made.path}/secret", json={"overlap_s": 0})).json()[
        "former_secret_until"
    ] is None
    assert "secret" not in await made.shown()


async def _sweep(conn: db.Connection) -> None:
    @asynccontextmanager
    async def effect() -> AsyncIterator[db.Connection]:
        yield conn

    job: Any = None
    await webhooks.housekeeping(FAST)[webhooks.SWEEP](job, effect)


async def test_an_event_that_is_relayed_twice_is_delivered_once(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    made = await hook("ticket.created", "ticket.*", "*")
    await factories.ticket(conn)
    async with db.transaction(pool) as tx:
        await events.place(tx)
        said = await events.after(tx, 0, 100)
    for _ in range(2):
        await FanOut(pool, FAST).deliver(Batch(said, complete=True, as_of=0.0))
    found = await made.deliveries()
    assert sorted(each["event_type"] for each in found) == [
        "ticket.created",
        "user.written",
        "webhook.created",
    ]
    assert await conn.fetchval("SELECT count(*) FROM jobs WHERE kind = 'deliver_webhooks'") == 1


async def test_a_worker_that_dies_after_sending_sends_again_under_the_same_id(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    await factories.ticket(conn)
    made.receiver.delay_s = 0.3
    task = asyncio.create_task(_killed(pool, made))
    await arrived(made.receiver, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    made.receiver.delay_s = 0
    assert (await made.deliveries())[0]["attempts"] == 0
    async with working(pool):
        await conn.execute("UPDATE jobs SET lease_until = now() WHERE status = 'running'")
        await arrived(made.receiver, 2)
        await eventually(lambda: made.deliveries("delivered"))
    assert len(set(made.receiver.ids())) == 1


async def _killed(pool: db.Pool, hook: Hook) -> None:
    """A turn that nobody ends, as `kill -9` leaves it."""
    await begun(pool)
    deliverer = webhooks.Deliverer(pool, Sender(Destinations(SystemResolver(), LOOPBACK), FAST), FAST)
    async with db.transaction(pool) as conn:
        job_id = await conn.fetchval(
            """
            UPDATE jobs SET status = 'running', dedupe_key = NULL, lease_token = gen_random_uuid(),
                            lease_until = now() + interval '1 hour'
             WHERE kind = 'deliver_webhooks' RETURNING id
            """
        )
        job: Job = await jobs.get(conn, job_id)
    effect: Effect = _never
    await deliverer.turn(job, effect)


@asynccontextmanager
async def _never() -> AsyncIterator[db.Connection]:
    raise AssertionError("it was killed before")
    yield


async def test_the_queue_of_an_endpoint_is_bounded_and_what_did_not_fit_can_be_replayed(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    for _ in range(5):
        await factories.ticket(conn)
    small = FAST.model_copy(update={"max_pending": 3})
    before = datetime.now(UTC) - timedelta(minutes=1)
    await begun(pool, small)
    assert (await made.shown())["pending"] == 3
    dead = await made.deliveries("dead")
    assert [each["last_error"] for each in dead] == ["the queue of this endpoint was full"] * 2
    async with working(pool):
        await eventually(lambda: _delivered(made, 3))
        answer = await made.admin.post(f"{made.path}/replay", json={"since": before.isoformat()})
        assert (answer.status_code, answer.json()) == (202, {"queued": 2, "next_since": None})
        await eventually(lambda: _delivered(made, 5))
        again = {"since": before.isoformat(), "delivered": True}
        assert (await made.admin.post(f"{made.path}/replay", json=again)).json()["queued"] == 5
        await arrived(made.receiver, 10)
    assert len(set(made.receiver.ids())) == 5


async def _delivered(hook: Hook, count: int) -> bool:
    return len(await hook.deliveries("delivered")) >= count


async def test_a_replay_says_where_to_go_on_when_the_queue_is_full(
    pool: db.Pool, conn: db.Connection, hook: Hooks, desk: Any
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    await made.admin.patch(made.path, json={"enabled": False})
    for _ in range(5):
        await factories.ticket(conn)
    await begun(pool)
    await made.admin.patch(made.path, json={"enabled": True})
    state = desk.state.eservice
    small = state.profile.webhooks.model_copy(update={"max_pending": 3})
    state.profile = state.profile.model_copy(update={"webhooks": small})
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    seen, queued = set(), 0
    async with working(pool):
        while since and len(seen) < 10:
            answer = (await made.admin.post(f"{made.path}/replay", json={"since": since})).json()
            queued, since = queued + answer["queued"], answer["next_since"]
            await eventually(lambda n=queued: _delivered(made, n))  # type: ignore[misc]
            seen.add(since)
    assert (queued, len(made.receiver.got)) == (5, 5)


async def test_switched_off_it_gets_nothing_and_what_it_missed_can_be_replayed(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    since = datetime.now(UTC).isoformat()
    async with working(pool):
        off = await made.admin.patch(made.path, json={"enabled": False, "description": "for now"})
        assert (off.json()["enabled"], off.json()["description"]) == (False, "for now")
        for path in ("test", "replay"):
            assert (await made.admin.post(f"{made.path}/{path}", json={"since": since})).status_code == 409
        await factories.ticket(conn)
        await _relayed(pool)
        assert await made.deliveries() == []
        await made.admin.patch(made.path, json={"enabled": True})
        assert (await made.admin.post(f"{made.path}/replay", json={"since": since})).json()["queued"] == 1
        await arrived(made.receiver, 1)


async def _relayed(pool: db.Pool) -> None:
    """Until the relay has read what was said by now."""
    async with db.transaction(pool) as conn:
        await events.place(conn)
        end = await events.end(conn)

    async def read() -> bool:
        async with db.transaction(pool) as conn:
            at = await conn.fetchval("SELECT position FROM event_cursors WHERE consumer = 'webhooks'")
            return bool(at is not None and at >= end)

    await eventually(read)


async def test_after_days_without_success_it_is_switched_off_and_others_are_told(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    async with receiving() as watching:
        made = await hook("ticket.created")
        watcher = await hook("webhook.switched_off", receiver=watching)
        made.receiver.always = 500
        await factories.ticket(conn)
        async with working(pool):
            await eventually(lambda: _tried(made, 1))
            assert (await made.shown())["failing_since"] is not None
            await conn.execute(
                """
                UPDATE webhook_endpoints SET failures = 9, failing_since = now() - interval '6 days'
                 WHERE id = $1
                """,
                UUID(made.made["id"]),
            )
            await make_due(conn, made)
            await arrived(watching, 1)
        shown = await made.shown()
        assert (shown["enabled"], shown["off_because"]) == (False, "nothing was taken for 5 days: HTTP 500")
        assert watcher.read()[0]["data"]["aggregate_id"] == made.made["id"]
        assert [each["last_error"] for each in await made.deliveries("dead")] == [
            "the endpoint was switched off"
        ]
        on = (await made.admin.patch(made.path, json={"enabled": True})).json()
        assert (on["off_because"], on["failures"], on["failing_since"]) == (None, 0, None)


async def test_gone_means_gone(pool: db.Pool, conn: db.Connection, hook: Hooks) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    made.receiver.always = 410
    await factories.ticket(conn)
    async with working(pool):
        await eventually(lambda: _off(made))
    assert (await made.shown())["off_because"] == "the receiver answered 410 Gone"


async def _off(hook: Hook) -> bool:
    return not (await hook.shown())["enabled"]


async def test_an_endpoint_that_fails_is_asked_with_one_delivery_at_a_time(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    made.receiver.always = 500
    for _ in range(20):
        await factories.ticket(conn)
    resting = FAST.model_copy(update={"rest_base_s": 60.0, "rest_max_s": 60.0})
    async with working(pool, resting):
        await arrived(made.receiver, resting.parallel)
        await factories.ticket(conn)
        await _relayed(pool)
        await asyncio.sleep(0.3)
        assert len(made.receiver.got) == resting.parallel
        await conn.execute("UPDATE webhook_endpoints SET resting_until = NULL")
        await webhooks.wake_when_due(conn, UUID(made.made["id"]))
        await arrived(made.receiver, resting.parallel + 1)
        await asyncio.sleep(0.3)
        assert len(made.receiver.got) == resting.parallel + 1
        made.receiver.always = 200
        await conn.execute("UPDATE webhook_endpoints SET resting_until = NULL")
        await webhooks.wake_when_due(conn, UUID(made.made["id"]))
        await eventually(lambda: _delivered(made, 16))


async def test_who_does_not_answer_holds_up_nobody_else(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    async with receiving() as quick:
        slow, fast = await hook("ticket.created"), await hook("ticket.created", receiver=quick)
        slow.receiver.delay_s = 30
        patient = FAST.model_copy(update={"timeout_s": 20.0, "claim_s": 30.0})
        done: list[str] = []

        async def ours(job: Job, effect: Effect) -> None:
            done.append(job.kind)

        handlers = dict.fromkeys(("ours", "triage_ticket"), ours)
        runner, stop = Runner(pool, handlers, WORK, webhooks.LANE.others), asyncio.Event()
        working_too = asyncio.create_task(runner.run(stop))
        sending = asyncio.create_task(_for_a_while(pool, patient, quick))
        for _ in range(6):
            await factories.ticket(conn)
        await jobs.enqueue(conn, "ours", {})
        await sending
        stop.set()
        await working_too
        assert (done.count("ours"), done.count("triage_ticket")) == (1, 6)
        assert await _delivered(fast, 6)
        assert await slow.deliveries("delivered") == []


async def _for_a_while(pool: db.Pool, settings: WebhookSettings, quick: Receiver) -> None:
    async with asyncio.timeout(15):
        task = asyncio.create_task(_endless(pool, settings))
        await arrived(quick, 6)
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _endless(pool: db.Pool, settings: WebhookSettings) -> None:
    deliverer = webhooks.Deliverer(pool, Sender(Destinations(SystemResolver(), LOOPBACK), settings), settings)
    pace = WORK.model_copy(update={"concurrency": 2, "drain_s": 0.1})
    relay, runner = (
        Relay(pool, FanOut(pool, settings), LOG),
        Runner(pool, deliverer.handlers(), pace, webhooks.LANE),
    )
    stop = asyncio.Event()
    await asyncio.gather(relay.run(stop), runner.run(stop))


async def test_a_ping_takes_the_way_of_all_events(pool: db.Pool, conn: db.Connection, hook: Hooks) -> None:
    await begun(pool)
    async with receiving() as other:
        made, everything = await hook("user.created"), await hook("*", receiver=other)
        sent = await made.admin.post(f"{made.path}/test")
        assert (sent.status_code, sent.json()["status"]) == (202, "pending")
        async with working(pool):
            await eventually(lambda: made.deliveries("delivered"))
        assert (await made.admin.get(sent.headers["Location"])).json()["tries"][0]["status_code"] == 200
        (read,) = made.read()
        assert (read["type"], read["data"]["aggregate_id"]) == ("webhook.pinged", made.made["id"])
        assert "webhook.pinged" not in [each["type"] for each in everything.read()]


async def test_the_list_the_limits_and_the_end_of_an_endpoint(
    pool: db.Pool, conn: db.Connection, hook: Hooks, desk: Any
) -> None:
    made = await hook("ticket.created")
    second = await hook("user.*", receiver=made.receiver)
    page = (await made.admin.get(PATH, params={"limit": 1})).json()
    assert [each["id"] for each in page["items"]] == [second.made["id"]]
    rest = (await made.admin.get(PATH, params={"cursor": page["next_cursor"]})).json()
    assert [(each["id"], each["url"]) for each in rest["items"]] == [(made.made["id"], made.receiver.url)]
    state = desk.state.eservice
    state.profile = state.profile.model_copy(
        update={"webhooks": WebhookSettings(max_endpoints=2)}  # as elsewhere: no loopback
    )
    draft = {"url": "https://hooks.example.com/", "event_types": ["*"]}
    assert (await made.admin.post(PATH, json=draft)).status_code == 409
    plain = await made.admin.patch(made.path, json={"url": "http://hooks.example.com/"})
    assert (plain.status_code, plain.json()["param"]) == (422, "url")
    assert (await made.admin.delete(made.path)).status_code == 204
    assert (await made.admin.get(made.path)).status_code == 404
    assert (await made.admin.post(f"{made.path}/deliveries/{made.made['id']}/replay")).status_code == 404
    assert "ticket.created" in (await made.admin.get(f"{PATH}/event-types")).json()["items"]
    kinds = [
        each["kind"]
        for each in await conn.fetch("SELECT kind FROM domain_events WHERE aggregate = 'webhook'")
    ]
    assert sorted(kinds) == ["created", "created", "deleted"]


async def test_what_ended_long_ago_is_forgotten_and_a_lost_turn_is_found(
    pool: db.Pool, conn: db.Connection, hook: Hooks
) -> None:
    await begun(pool)
    made = await hook("ticket.created")
    await factories.ticket(conn)
    await begun(pool)
    await conn.execute("DELETE FROM jobs")
    await _sweep(conn)
    async with working(pool):
        await eventually(lambda: made.deliveries("delivered"))
    await conn.execute("UPDATE webhook_deliveries SET ended_at = now() - interval '31 days'")
    await _sweep(conn)
    assert await made.deliveries() == []
    assert await conn.fetchval("SELECT count(*) FROM webhook_attempts") == 0
