"""/api/v1/tickets."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app import etags
from app.auth.access import SignedIn
from app.errors import (
    Forbidden,
    Invalid,
    PreconditionRequired,
    TooLarge,
    Unauthorised,
    Unavailable,
    documented,
)
from app.events import streams
from app.events.streams import STREAM, LastEventId
from app.state import Current, Transaction
from app.tickets import assignment, attachments, bulk, csat, linked, reading, service
from app.tickets.assignment import TicketEnded, TicketTaken, UnknownAssignee
from app.tickets.attachments import Attachment, AttachmentDraft, Attachments
from app.tickets.bulk import Operations, Results
from app.tickets.csat import TicketNotEnded
from app.tickets.fields import CustomInvalid, FieldsMissing
from app.tickets.idempotency import KeyReused
from app.tickets.linked import CannotMerge, LinkDraft, LinkNotFound, Links, MergeDraft
from app.tickets.schemas import (
    Assignment,
    Csat,
    CsatDraft,
    Events,
    Filters,
    Message,
    MessageDraft,
    Messages,
    Priority,
    QueueName,
    SearchText,
    Ticket,
    TicketDraft,
    TicketPatch,
    Tickets,
    Transition,
)
from app.tickets.service import IllegalTransition, TicketClosed, TicketNotFound, TicketStale, UnknownQueue
from app.tickets.states import Status

router = APIRouter(
    prefix="/api/v1/tickets", tags=["tickets"], responses=documented(Unauthorised, Invalid, Unavailable)
)
ONE = documented(TicketNotFound)

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]
Search = Annotated[
    SearchText | None,
    Query(description='words of subject and body; `"a phrase"`, `or` and `-without` are understood'),
]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="the same key makes one thing, however often"),
]
IfMatch = Annotated[str | None, Header(description="the ETag of the ticket as you read it, or `*`")]


@router.post("", status_code=201, responses=documented(TooLarge, KeyReused))
async def create(
    draft: TicketDraft,
    who: SignedIn,
    conn: Transaction,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Ticket:
    """Open a ticket. Triage and assignment follow within seconds."""
    ticket = await service.create(conn, who, draft, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/api/v1/tickets/{ticket.id}"
    return _tagged(ticket, response)


@router.get("")
async def tickets(
    who: SignedIn,
    conn: Transaction,
    cursor: Cursor = None,
    limit: Limit = 50,
    status: Status | None = None,
    queue: QueueName | None = None,
    priority: Priority | None = None,
    assignee: UUID | None = None,
    number: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    q: Search = None,
) -> Tickets:
    """Newest first; customers see their own, agents and above all."""
    filters = Filters(status=status, queue=queue, priority=priority, assignee=assignee, number=number, q=q)
    items, following = await service.page(conn, who, filters, cursor, limit)
    return Tickets(items=items, next_cursor=following)


@router.post("/bulk", responses=documented(Forbidden, TooLarge))
async def bulk_change(wish: Operations, who: SignedIn, conn: Transaction) -> Results:
    """Up to 500 changes; each has its own result, and none undoes another. For agents and above."""
    return Results(results=await bulk.run(conn, who, wish.operations))


@router.get("/{ticket_id}", responses=ONE)
async def ticket(ticket_id: UUID, who: SignedIn, state: Current, response: Response) -> Ticket:
    return _tagged(await reading.ticket(state, who, ticket_id), response)


@router.patch(
    "/{ticket_id}",
    responses=ONE
    | documented(Forbidden, TicketStale, PreconditionRequired, TooLarge, UnknownQueue, CustomInvalid),
)
async def patch(
    ticket_id: UUID,
    change: TicketPatch,
    who: SignedIn,
    conn: Transaction,
    response: Response,
    if_match: IfMatch = None,
) -> Ticket:
    """Change a ticket that is still as you read it. For agents and above."""
    if if_match is None:
        raise PreconditionRequired
    versions = etags.versions(if_match)
    return _tagged(await service.patch(conn, who, ticket_id, change, versions=versions), response)


@router.post("/{ticket_id}/transitions", responses=ONE | documented(IllegalTransition, FieldsMissing))
async def transition(
    ticket_id: UUID, wish: Transition, who: SignedIn, conn: Transaction, response: Response
) -> Ticket:
    """Move a ticket to another status; 409 lists the ones it can go to."""
    return _tagged(await service.transition(conn, who, ticket_id, wish.to), response)


@router.post(
    "/{ticket_id}/assignment",
    responses=ONE | documented(Forbidden, TicketTaken, TicketEnded, UnknownAssignee),
)
async def assign(
    ticket_id: UUID, wish: Assignment, who: SignedIn, conn: Transaction, response: Response
) -> Ticket:
    """Give a ticket to somebody, take it or put it back. For agents and above."""
    return _tagged(await assignment.assign(conn, who, ticket_id, wish), response)


@router.post("/{ticket_id}/csat", responses=ONE | documented(Forbidden, TicketNotEnded))
async def rate(ticket_id: UUID, draft: CsatDraft, who: SignedIn, conn: Transaction) -> Csat:
    """The customer's rating of what became of their ticket; a later one replaces it."""
    return await csat.rate(conn, who, ticket_id, draft)


@router.get("/{ticket_id}/messages", responses=ONE)
async def messages(
    ticket_id: UUID, who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50
) -> Messages:
    """Oldest first; customers do not see internal notes."""
    items, following = await service.messages(conn, who, ticket_id, cursor, limit)
    return Messages(items=items, next_cursor=following)


@router.post(
    "/{ticket_id}/messages",
    status_code=201,
    responses=ONE | documented(Forbidden, TicketClosed, TooLarge),
)
async def add_message(
    ticket_id: UUID,
    draft: MessageDraft,
    who: SignedIn,
    conn: Transaction,
    idempotency_key: IdempotencyKey = None,
) -> Message:
    """Reply, or, as an agent, leave a note with `internal: true`."""
    return await service.add_message(conn, who, ticket_id, draft, idempotency_key=idempotency_key)


@router.get("/{ticket_id}/events", response_model=Events, responses=ONE | STREAM)
async def events(
    ticket_id: UUID,
    who: SignedIn,
    conn: Transaction,
    state: Current,
    request: Request,
    cursor: Cursor = None,
    limit: Limit = 50,
    last_event_id: LastEventId = None,
) -> Events | StreamingResponse:
    """What happened to the ticket, oldest first; customers see what concerns them.

    With `Accept: text/event-stream`: what happens to it from now on, or from `Last-Event-ID` on.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        wanted = await service.visible_events(conn, who, ticket_id)
        feed, settings = state.feed, state.profile.events
        return await streams.response(feed, settings, who.id, last_event_id, wanted, key=who.key_id)
    items, following = await service.events(conn, who, ticket_id, cursor, limit)
    return Events(items=items, next_cursor=following)


@router.get("/{ticket_id}/links", responses=ONE | documented(Forbidden))
async def links(ticket_id: UUID, who: SignedIn, conn: Transaction) -> Links:
    """Tickets that have to do with this one, at most 500. For agents and above."""
    return Links(items=await linked.links(conn, who, ticket_id))


@router.post("/{ticket_id}/links", status_code=201, responses=ONE | documented(Forbidden, TooLarge))
async def link(ticket_id: UUID, draft: LinkDraft, who: SignedIn, conn: Transaction) -> Links:
    """Link two tickets; answers with all links of this one. For agents and above."""
    return Links(items=await linked.link(conn, who, ticket_id, draft))


@router.delete(
    "/{ticket_id}/links/{kind}/{other_id}",
    status_code=204,
    responses=ONE | documented(Forbidden, LinkNotFound),
)
async def unlink(
    ticket_id: UUID, kind: linked.Kind, other_id: UUID, who: SignedIn, conn: Transaction
) -> None:
    await linked.unlink(conn, who, ticket_id, kind, other_id)


@router.post("/{ticket_id}/merge", responses=ONE | documented(Forbidden, CannotMerge, TooLarge))
async def merge(
    ticket_id: UUID, wish: MergeDraft, who: SignedIn, conn: Transaction, response: Response
) -> Ticket:
    """Make this ticket part of another one of the same customer, which is answered. For agents and above.

    Its text and messages go over in their places; it is closed, and what is sent to it gets a 409 that
    names the other.
    """
    return _tagged(await linked.merge(conn, who, ticket_id, wish.into), response)


@router.get("/{ticket_id}/attachments", responses=ONE)
async def attachments_of(ticket_id: UUID, who: SignedIn, conn: Transaction) -> Attachments:
    """What is known of its files, oldest first, at most 500; customers do not see internal ones."""
    return Attachments(items=await attachments.page(conn, who, ticket_id))


@router.post(
    "/{ticket_id}/attachments",
    status_code=201,
    responses=ONE | documented(Forbidden, TicketClosed, TooLarge),
)
async def attach(
    ticket_id: UUID,
    draft: AttachmentDraft,
    who: SignedIn,
    conn: Transaction,
    idempotency_key: IdempotencyKey = None,
) -> Attachment:
    """Note a file; it is not uploaded here."""
    return await attachments.add(conn, who, ticket_id, draft, idempotency_key=idempotency_key)


def _tagged(ticket: Ticket, response: Response) -> Ticket:
    response.headers["ETag"] = f'"{ticket.version}"'
    return ticket
