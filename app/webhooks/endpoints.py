"""/api/v1/admin/webhooks: events sent to other people's servers, signed. For administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.auth.access import SignedIn
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.state import Current, Transaction
from app.webhooks import replaying, service
from app.webhooks.event_types import NAMES
from app.webhooks.schemas import (
    Deliveries,
    Delivery,
    DeliveryStatus,
    DeliveryWithAttempts,
    Endpoint,
    EndpointDraft,
    EndpointMade,
    EndpointPatch,
    Endpoints,
    KnownEventTypes,
    Replayed,
    ReplaySince,
    SecretMade,
    SecretRotation,
)
from app.webhooks.service import (
    DeliveryNotFound,
    PlainHttp,
    TooManyWebhooks,
    WebhookNotFound,
    WebhookOff,
)

router = APIRouter(
    prefix="/api/v1/admin/webhooks",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)
ONE = documented(WebhookNotFound)
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("", status_code=201, responses=documented(PlainHttp, TooManyWebhooks))
async def make(
    draft: EndpointDraft, who: SignedIn, conn: Transaction, state: Current, response: Response
) -> EndpointMade:
    """Send events of these types to a server of yours, from now on, signed as Standard Webhooks has it.

    An event comes at least once, under its `webhook-id`, and in no certain order. What is not taken with a
    2xx within 10 s is tried again after 5 s, 5 and 30 min, 2, 5, 10, 14, 20 and 24 h, then given up. An
    endpoint that takes nothing for five days is switched off. The secret is shown in this answer only.
    """
    made = await service.make(conn, who, draft, state.profile.webhooks)
    response.headers["Location"] = f"{router.prefix}/{made.id}"
    return made


@router.get("")
async def page(who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50) -> Endpoints:
    """Newest first, with how each fares."""
    items, last = await service.page(conn, who, cursor, limit)
    return Endpoints(items=items, next_cursor=str(last) if last else None)


@router.get("/event-types")
async def event_types(who: SignedIn) -> KnownEventTypes:
    """What can be subscribed to."""
    service.only_admins(who)
    return KnownEventTypes(items=list(NAMES))


@router.get("/{webhook_id}", responses=ONE)
async def one(webhook_id: UUID, who: SignedIn, conn: Transaction) -> Endpoint:
    return await service.get(conn, who, webhook_id)


@router.patch("/{webhook_id}", responses=ONE | documented(PlainHttp))
async def change(
    webhook_id: UUID, patch: EndpointPatch, who: SignedIn, conn: Transaction, state: Current
) -> Endpoint:
    """Switched off, it gets nothing, and what waits is given up; what it missed can be replayed."""
    return await service.change(conn, who, webhook_id, patch, state.profile.webhooks)


@router.delete("/{webhook_id}", status_code=204, responses=ONE)
async def delete(webhook_id: UUID, who: SignedIn, conn: Transaction) -> None:
    """With everything that was on its way, and the record of it."""
    await service.delete(conn, who, webhook_id)


@router.post("/{webhook_id}/secret", responses=ONE)
async def rotate(
    webhook_id: UUID, who: SignedIn, conn: Transaction, wish: SecretRotation | None = None
) -> SecretMade:
    """A new secret. Until the overlap ends both sign, so that the receiver can change over at its leisure."""
    overlap_s = (wish or SecretRotation.model_validate({})).overlap_s
    return await service.rotate(conn, who, webhook_id, overlap_s)


@router.post("/{webhook_id}/test", status_code=202, responses=ONE | documented(WebhookOff))
async def ping(webhook_id: UUID, who: SignedIn, conn: Transaction, response: Response) -> Delivery:
    """Send a `webhook.pinged` to it, on the way that all events go; `Location` says how it went."""
    sent = await service.ping(conn, who, webhook_id)
    response.headers["Location"] = f"{router.prefix}/{webhook_id}/deliveries/{sent.event_id}"
    return sent


@router.get("/{webhook_id}/deliveries", responses=ONE)
async def deliveries(
    webhook_id: UUID,
    who: SignedIn,
    conn: Transaction,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Deliveries:
    """Newest events first; `status=dead` for what was given up. They are kept for 30 days after their end."""
    items, last = await service.deliveries(conn, who, webhook_id, status, cursor, limit)
    return Deliveries(items=items, next_cursor=str(last) if last else None)


@router.get("/{webhook_id}/deliveries/{event_id}", responses=documented(WebhookNotFound, DeliveryNotFound))
async def delivery(
    webhook_id: UUID, event_id: UUID, who: SignedIn, conn: Transaction
) -> DeliveryWithAttempts:
    """What became of one event, with each attempt and how the receiver's answer began."""
    return await service.delivery(conn, who, webhook_id, event_id)


@router.post(
    "/{webhook_id}/deliveries/{event_id}/replay",
    status_code=202,
    responses=documented(WebhookNotFound, DeliveryNotFound, WebhookOff),
)
async def replay(webhook_id: UUID, event_id: UUID, who: SignedIn, conn: Transaction) -> Delivery:
    """Send it again, whatever became of it, with all its attempts."""
    return await replaying.one(conn, who, webhook_id, event_id)


@router.post("/{webhook_id}/replay", status_code=202, responses=ONE | documented(WebhookOff))
async def replay_since(
    webhook_id: UUID, wish: ReplaySince, who: SignedIn, conn: Transaction, state: Current
) -> Replayed:
    """Send everything since then that the endpoint did not take, also what came while it was off."""
    return await replaying.since(conn, who, webhook_id, wish, state.profile.webhooks)
