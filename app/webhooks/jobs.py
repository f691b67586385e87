"""Sends what is due: one job is one endpoint's turn.

A turn ends when nothing is due, when its time is over, or when nobody answered; what is left waits for the
next one. Deliveries are claimed, sent and recorded in transactions of their own, so that none is open while a
receiver is waited for. A worker that dies after sending sends again: receivers drop a `webhook-id` they had.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from app import db
from app.db import Connection
from app.events import service as events
from app.events.schemas import DomainEvent
from app.jobs.schemas import Effect, Handler, Job, Lane
from app.webhooks import delivery_repository, messages, repository, signing
from app.webhooks.fan_out import DELIVER, wake
from app.webhooks.rows import StoredDelivery, StoredEndpoint
from app.webhooks.schedule import next_attempt_s, rest_s
from app.webhooks.sealing import RESPONSE, SECRET, URL
from app.webhooks.sending import Outcome, Sender
from config.profile import JobSettings, Profile
from config.webhooks import WebhookSettings
from monitoring import metrics

log = structlog.get_logger(__name__)

SWEEP = "sweep_webhooks"
PRUNED_AT_ONCE = 5_000
LANE = Lane((DELIVER,), only=True)
"""Apart from our own work: a turn may take `turn_s` of waiting for somebody else's server."""

FORGOTTEN = "the event is not kept any more"
GONE = "the receiver answered 410 Gone"


@dataclass(frozen=True, slots=True)
class Load:
    """What one endpoint gets next; its URL and keys in the clear."""

    endpoint_id: UUID
    url: str
    keys: Sequence[str]
    parcels: Sequence[tuple[StoredDelivery, DomainEvent]]


class Deliverer:
    def __init__(self, pool: db.Pool, sender: Sender, settings: WebhookSettings) -> None:
        self._pool = pool
        self._sender = sender
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        return {DELIVER: self.turn}

    async def close(self) -> None:
        await self._sender.close()

    async def turn(self, job: Job, effect: Effect) -> None:
        endpoint_id = UUID(str(job.payload["endpoint_id"]))
        at_most_s = self._settings.turn_s + self._settings.claim_s
        async with db.transaction(self._pool) as conn:
            if not await repository.begin_turn(conn, endpoint_id, job.id, at_most_s):
                return
        ends_at = time.monotonic() + self._settings.turn_s
        while time.monotonic() < ends_at:
            load = await self._take(endpoint_id)
            if load is None or not await self._deliver(load):
                break
        async with effect() as conn:
            await repository.end_turn(conn, endpoint_id, job.id)
            await wake_when_due(conn, endpoint_id)

    async def _take(self, endpoint_id: UUID) -> Load | None:
        async with db.transaction(self._pool) as conn:
            await events.place(conn)
            endpoint = await repository.get(conn, endpoint_id)
            if endpoint is None:
                return None
            most = 1 if endpoint.failures else self._settings.parallel
            due = await delivery_repository.take(conn, endpoint_id, most, self._settings.claim_s)
            if not due:
                return None
            found = await events.some(conn, [(each.event_at, each.event_id) for each in due])
            by_id = {event.id: event for event in found}
            for lost in (each for each in due if each.event_id not in by_id):
                await delivery_repository.end(conn, lost, "dead", FORGOTTEN)
            parcels = [(each, by_id[each.event_id]) for each in due if each.event_id in by_id]
            url = await URL.open(conn, endpoint_id, endpoint.url)
            return Load(endpoint_id, url, await _keys(conn, endpoint), parcels)

    async def _deliver(self, load: Load) -> bool:
        """Whether it makes sense to go on at once."""
        if not load.parcels:
            return True
        outcomes = await asyncio.gather(*(self._send(load, event) for _, event in load.parcels))
        async with db.transaction(self._pool) as conn:
            endpoint = await repository.lock(conn, load.endpoint_id)
            if endpoint is None:
                return False
            for (delivery, _), outcome in zip(load.parcels, outcomes, strict=True):
                await self._record(conn, delivery, outcome)
            return await self._judge(conn, endpoint, outcomes)

    async def _send(self, load: Load, event: DomainEvent) -> Outcome:
        body = messages.body(event)
        signed = signing.headers(str(event.id), datetime.now(UTC), body, load.keys)
        headers = {"Content-Type": "application/json", "User-Agent": "eService-Webhooks/1", **signed}
        outcome = await self._sender.send(load.url, headers, body.encode())
        metrics.WEBHOOK_ATTEMPT.observe(outcome.seconds, outcome="failed" if outcome.error else "delivered")
        return outcome

    async def _record(self, conn: Connection, delivery: StoredDelivery, outcome: Outcome) -> None:
        response = await RESPONSE.seal(conn, delivery.endpoint_id, outcome.response)
        await delivery_repository.add_attempt(
            conn, delivery, outcome.at, outcome.seconds, outcome.status, outcome.error, response
        )
        if outcome.error is None:
            await delivery_repository.end(conn, delivery, "delivered")
        elif (delay_s := next_attempt_s(delivery.attempts + 1)) is not None:
            await delivery_repository.retry(conn, delivery, outcome.error, delay_s)
        else:
            await delivery_repository.end(conn, delivery, "dead", outcome.error)

    async def _judge(self, conn: Connection, endpoint: StoredEndpoint, outcomes: Sequence[Outcome]) -> bool:
        """What the endpoint's answers say of the endpoint."""
        if any(outcome.gone for outcome in outcomes):
            await switch_off(conn, endpoint.id, GONE)
            return False
        if any(outcome.error is None for outcome in outcomes):
            await repository.note_success(conn, endpoint.id)
            return True
        failures = endpoint.failures + len(outcomes)
        wish = max((each.retry_after_s or 0.0 for each in outcomes), default=0.0)
        noted = await repository.note_failures(
            conn, endpoint.id, len(outcomes), rest_s(failures, wish, self._settings)
        )
        if noted and self._has_failed_for_good(*noted):
            days = self._settings.switch_off_after_s / 86_400
            await switch_off(conn, endpoint.id, f"nothing was taken for {days:g} days: {outcomes[-1].error}")
        return False

    def _has_failed_for_good(self, failures: int, for_s: float) -> bool:
        return failures >= self._settings.switch_off_failures and for_s >= self._settings.switch_off_after_s


def pace(profile: Profile) -> JobSettings:
    """The lane's: as many turns at a time as the profile says."""
    return profile.jobs.model_copy(update={"concurrency": profile.webhooks.endpoints_at_once})


def housekeeping(settings: WebhookSettings) -> Mapping[str, Handler]:
    """A row of `schedules` says how often."""

    async def sweep(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await repository.forget_former_secrets(conn)
            await delivery_repository.prune(conn, settings.keep_s, PRUNED_AT_ONCE)
            for endpoint_id in await delivery_repository.with_due(conn):  # their turn may have died
                await wake(conn, endpoint_id)

    return {SWEEP: sweep}


async def wake_when_due(conn: Connection, endpoint_id: UUID) -> None:
    """The next turn, where something waits: when that is due, and the endpoint has rested."""
    endpoint = await repository.get(conn, endpoint_id)
    due = await delivery_repository.next_due(conn, endpoint_id)
    if endpoint and endpoint.enabled and due:
        await wake(conn, endpoint_id, max(due, endpoint.resting_until or due))


async def switch_off(conn: Connection, endpoint_id: UUID, because: str) -> None:
    """Nothing more is sent until somebody switches it on; whoever watches is told. It is locked."""
    await repository.switch(conn, endpoint_id, on=False, because=because)
    await delivery_repository.bury_all(conn, endpoint_id)
    data = {"because": because}
    await events.publish(conn, "webhook", endpoint_id, "switched_off", "system:webhooks", data)
    log.warning("webhook switched off", endpoint=str(endpoint_id), because=because)


async def gauge(conn: Connection) -> None:
    """Set the gauges of webhooks as they are now."""
    off, pending = await repository.counts(conn)
    metrics.WEBHOOKS_OFF.set(off)
    metrics.WEBHOOKS_PENDING.set(pending)


async def _keys(conn: Connection, endpoint: StoredEndpoint) -> list[str]:
    """The secret, and the one before while both count."""
    until, former = endpoint.former_secret_until, endpoint.former_secret
    both = [endpoint.secret]
    if former and until and until > datetime.now(UTC):
        both.append(former)
    return await SECRET.open_many(conn, [(endpoint.id, each) for each in both])
