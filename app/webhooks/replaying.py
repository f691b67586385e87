"""Sending again: one event, or all since a time, also those that came while the endpoint was off."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from app.auth.schemas import Identity
from app.db import Connection
from app.events import service as events
from app.webhooks import delivery_repository, service
from app.webhooks.event_types import wants
from app.webhooks.fan_out import wake
from app.webhooks.rows import StoredEndpoint
from app.webhooks.schemas import Delivery, Replayed, ReplaySince
from app.webhooks.service import DeliveryNotFound, WebhookOff
from config.webhooks import WebhookSettings

PAGE = 1_000
LOOKED_AT = 20_000
"""Events that one request goes through, a few milliseconds a thousand; its answer says where to go on."""


async def one(conn: Connection, who: Identity, endpoint_id: UUID, event_id: UUID) -> Delivery:
    """Whatever became of it, from the beginning of its schedule; at once, unless the endpoint rests."""
    service.only_admins(who)
    endpoint = await _on(conn, endpoint_id)
    queued = await delivery_repository.again_at_once(conn, endpoint_id, event_id)
    if queued is None:
        raise DeliveryNotFound
    await wake(conn, endpoint_id, endpoint.resting_until)
    data = {"event_id": str(event_id)}
    await events.publish(conn, "webhook", endpoint_id, "replayed", f"user:{who.id}", data)
    return service.shown(queued)


async def since(
    conn: Connection, who: Identity, endpoint_id: UUID, wish: ReplaySince, settings: WebhookSettings
) -> Replayed:
    """Events of the endpoint's types from the log, as many as its queue has room for."""
    service.only_admins(who)
    by = f"user:{who.id}"
    return await replay(conn, by, endpoint_id, wish.since, settings, delivered=wish.delivered)


async def replay(
    conn: Connection,
    by: str,
    endpoint_id: UUID,
    since: datetime,
    settings: WebhookSettings,
    *,
    delivered: bool = False,
) -> Replayed:
    """The same for whoever does not ask over HTTP."""
    endpoint = await _on(conn, endpoint_id)
    pending = await delivery_repository.pending(conn, [endpoint.id])
    room = settings.max_pending - pending.get(endpoint.id, 0)
    queued, looked, at = 0, 0, since
    last: UUID | None = None
    on: datetime | None = since
    while on and looked < LOOKED_AT and queued < room:
        asked = min(PAGE, room - queued)
        page = await events.since(conn, at, last, asked)
        wanted = [each for each in page if wants(endpoint.event_types, f"{each.aggregate}.{each.kind}")]
        queued += await delivery_repository.again(conn, endpoint.id, wanted, delivered=delivered)
        looked += len(page)
        if len(page) < asked:
            on = None
        else:
            on, at, last = page[-1].occurred_at, page[-1].occurred_at, page[-1].id
    await wake(conn, endpoint.id, endpoint.resting_until)
    said: dict[str, JsonValue] = {"since": since.isoformat(), "queued": queued, "delivered": delivered}
    await events.publish(conn, "webhook", endpoint_id, "replayed", by, said)
    return Replayed(queued=queued, next_since=on)


async def _on(conn: Connection, endpoint_id: UUID) -> StoredEndpoint:
    endpoint = await service.locked(conn, endpoint_id)
    if not endpoint.enabled:
        raise WebhookOff
    return endpoint
