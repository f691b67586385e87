"""What administrators do with webhooks."""

from uuid import UUID

from pydantic import JsonValue

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import service as events
from app.vault.service import destroy
from app.webhooks import delivery_repository, repository, signing
from app.webhooks.event_types import PING
from app.webhooks.fan_out import wake
from app.webhooks.rows import Standing, StoredDelivery, StoredEndpoint
from app.webhooks.schemas import (
    Attempt,
    Delivery,
    DeliveryStatus,
    DeliveryWithAttempts,
    Endpoint,
    EndpointDraft,
    EndpointMade,
    EndpointPatch,
    SecretMade,
)
from app.webhooks.sealing import RESPONSE, SECRET, URL
from config.webhooks import WebhookSettings

SHOWN_ATTEMPTS = 20


class WebhookNotFound(NotFound):
    """There is no such webhook."""


class DeliveryNotFound(NotFound):
    """No such event was on its way to this webhook, or that was longer ago than deliveries are kept."""


class TooManyWebhooks(Conflict):
    """There are as many webhooks as this installation takes; delete one that is no longer used."""


class WebhookOff(Conflict):
    """This webhook is switched off; switch it on first (`enabled`)."""


class PlainHttp(Invalid):
    """A webhook needs https: what is sent over plain HTTP can be read and forged on the way."""


def only_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden


async def make(
    conn: Connection, who: Identity, draft: EndpointDraft, settings: WebhookSettings
) -> EndpointMade:
    """It gets what happens from now on. The answer is the only one that shows its secret."""
    only_admins(who)
    _check_scheme(draft.url, settings)
    await repository.lock_all(conn)
    if await repository.count(conn) >= settings.max_endpoints:
        raise TooManyWebhooks
    endpoint_id, secret = await repository.new_id(conn), signing.new_secret()
    await repository.add(
        conn,
        endpoint_id,
        await URL.seal(conn, endpoint_id, draft.url),
        await SECRET.seal(conn, endpoint_id, secret),
        draft.event_types,
        draft.description,
        await _end_of_log(conn),
    )
    await _said(conn, who, endpoint_id, "created", {"event_types": [*draft.event_types]})
    return EndpointMade(**(await get(conn, who, endpoint_id)).model_dump(), secret=secret)


async def page(
    conn: Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Endpoint], UUID | None]:
    """Newest first."""
    only_admins(who)
    found = await repository.page(conn, before, limit + 1)
    shown = found[:limit]
    pending = await delivery_repository.pending(conn, [each.id for each in shown])
    urls = await URL.open_many(conn, [(each.id, each.url) for each in shown])
    items = [_out(each, url, pending.get(each.id, 0)) for each, url in zip(shown, urls, strict=True)]
    return items, found[limit - 1].id if len(found) > limit else None


async def get(conn: Connection, who: Identity, endpoint_id: UUID) -> Endpoint:
    only_admins(who)
    found = await repository.get(conn, endpoint_id)
    if found is None:
        raise WebhookNotFound
    pending = await delivery_repository.pending(conn, [endpoint_id])
    return _out(found, await URL.open(conn, endpoint_id, found.url), pending.get(endpoint_id, 0))


async def change(
    conn: Connection, who: Identity, endpoint_id: UUID, patch: EndpointPatch, settings: WebhookSettings
) -> Endpoint:
    """Switched off, it gets nothing, and what waits is given up; switched on, what happens from then on."""
    only_admins(who)
    endpoint = await locked(conn, endpoint_id)
    url = None
    if patch.url is not None:
        _check_scheme(patch.url, settings)
        url = await URL.seal(conn, endpoint_id, patch.url)
    await repository.change(
        conn, endpoint_id, url=url, event_types=patch.event_types, description=patch.description
    )
    if patch.enabled is not None and (patch.enabled or endpoint.enabled):
        await repository.switch(conn, endpoint_id, on=patch.enabled)
        if not patch.enabled:
            await delivery_repository.bury_all(conn, endpoint_id)
    if patch.enabled or (url and endpoint.enabled):
        await wake(conn, endpoint_id)
    fields: list[JsonValue] = [*sorted(patch.model_dump(exclude_none=True))]
    await _said(conn, who, endpoint_id, "changed", {"fields": fields})
    return await get(conn, who, endpoint_id)


async def delete(conn: Connection, who: Identity, endpoint_id: UUID) -> None:
    """With everything that was on its way, and the record of it."""
    only_admins(who)
    await locked(conn, endpoint_id)
    await repository.delete(conn, endpoint_id)
    await destroy(conn, endpoint_id)
    await _said(conn, who, endpoint_id, "deleted", {})


async def rotate(conn: Connection, who: Identity, endpoint_id: UUID, overlap_s: int) -> SecretMade:
    """A new secret; the one until now signs as well for so long, so that the receiver can take its time."""
    only_admins(who)
    await locked(conn, endpoint_id)
    secret = signing.new_secret()
    until = await repository.rotate(
        conn, endpoint_id, await SECRET.seal(conn, endpoint_id, secret), overlap_s
    )
    await _said(conn, who, endpoint_id, "secret_rotated", {"overlap_s": overlap_s})
    return SecretMade(secret=secret, former_secret_until=until)


async def ping(conn: Connection, who: Identity, endpoint_id: UUID) -> Delivery:
    """Send an event of its own to the endpoint, on the way that all events go."""
    only_admins(who)
    endpoint = await locked(conn, endpoint_id)
    if not endpoint.enabled:
        raise WebhookOff
    event_id = await _said(conn, who, endpoint_id, PING.partition(".")[2], {})
    await delivery_repository.add_one(conn, endpoint_id, event_id, PING)
    await wake(conn, endpoint_id, endpoint.resting_until)
    return await _delivery(conn, endpoint_id, event_id)


async def deliveries(
    conn: Connection,
    who: Identity,
    endpoint_id: UUID,
    status: DeliveryStatus | None,
    before: UUID | None,
    limit: int,
) -> tuple[list[Delivery], UUID | None]:
    """Newest events first."""
    await get(conn, who, endpoint_id)
    found = await delivery_repository.page(conn, endpoint_id, status, before, limit + 1)
    return [shown(each) for each in found[:limit]], found[limit - 1].event_id if len(found) > limit else None


async def delivery(
    conn: Connection, who: Identity, endpoint_id: UUID, event_id: UUID
) -> DeliveryWithAttempts:
    await get(conn, who, endpoint_id)
    found = await _delivery(conn, endpoint_id, event_id)
    stored = await delivery_repository.attempts(conn, endpoint_id, event_id, SHOWN_ATTEMPTS)
    responses = await RESPONSE.open_many(conn, [(endpoint_id, each.response) for each in stored])
    tries = [
        Attempt(**each.model_dump(exclude={"response"}), response=response)
        for each, response in zip(stored, responses, strict=True)
    ]
    return DeliveryWithAttempts(**found.model_dump(), tries=tries)


async def overview(conn: Connection) -> list[Standing]:
    """How each fares, for an operator at a terminal; nothing of it is sealed."""
    return await repository.standings(conn)


async def locked(conn: Connection, endpoint_id: UUID) -> StoredEndpoint:
    endpoint = await repository.lock(conn, endpoint_id)
    if endpoint is None:
        raise WebhookNotFound
    return endpoint


def shown(stored: StoredDelivery) -> Delivery:
    waits = stored.status == "pending"
    fields = stored.model_dump(exclude={"endpoint_id", "event_at", "due_at"})
    return Delivery(**fields, next_attempt_at=stored.due_at if waits else None)


async def _delivery(conn: Connection, endpoint_id: UUID, event_id: UUID) -> Delivery:
    stored = await delivery_repository.get(conn, endpoint_id, event_id)
    if stored is None:
        raise DeliveryNotFound
    return shown(stored)


def _out(stored: StoredEndpoint, url: str, pending: int) -> Endpoint:
    fields = stored.model_dump(include=set(Endpoint.model_fields) - {"url", "pending"})
    return Endpoint(**fields, url=url, pending=pending)


async def _said(
    conn: Connection, who: Identity, endpoint_id: UUID, kind: str, data: dict[str, JsonValue]
) -> UUID:
    return await events.publish(conn, "webhook", endpoint_id, kind, f"user:{who.id}", data)


async def _end_of_log(conn: Connection) -> int:
    """With the places of everything that was said by now."""
    while not await events.place(conn):
        pass
    return await events.end(conn)


def _check_scheme(url: str, settings: WebhookSettings) -> None:
    if not url.startswith("https://") and not settings.allow_loopback:
        raise PlainHttp(param="url")
