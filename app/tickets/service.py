"""What people may do with tickets: who may, what follows from it, and the record of it.

Every function that a request reaches takes the identity of who asks; customers have only their own tickets.
"""

from collections.abc import Callable
from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from app.events.schemas import DomainEvent
from app.jobs import service as jobs
from app.tickets import fields, followers, history, history_repository, idempotency, repository
from app.tickets.schemas import (
    BacklogJob,
    Event,
    Filters,
    Message,
    MessageDraft,
    Ticket,
    TicketDraft,
    TicketJob,
    TicketPatch,
)
from app.tickets.states import ENDED, REOPENED_BY_REPLY, TRANSITIONS, Status, legal
from app.triage import service as triage
from app.triage.schemas import Correction
from monitoring import metrics

TRIAGE_TICKET = "triage_ticket"
ASSIGN_BACKLOG = "assign_backlog"
CUSTOMERS_SEE = ("created", "status_changed", "message_added", "rated", "attached", "merged", "absorbed")


class TicketNotFound(NotFound):
    """There is no such ticket, or it is not yours."""


class TicketStale(PreconditionFailed):
    """The ticket was changed since you read it; read it again and repeat your change."""


class IllegalTransition(Conflict):
    """The ticket's status does not allow this; `legal` lists what it allows you."""


class TicketClosed(Conflict):
    """This ticket is closed; reopen it or open a new one."""


class TicketMerged(Conflict):
    """This ticket became part of another one, `merged_into`; go on there."""


class UnknownQueue(Invalid):
    """There is no queue of this name; GET /api/v1/routing/queues lists them."""


async def create(
    conn: Connection,
    who: Identity,
    draft: TicketDraft,
    *,
    idempotency_key: str | None = None,
    ticket_id: UUID | None = None,
) -> Ticket:
    """A new ticket, its first event and the job that triages it, in the caller's transaction."""
    if idempotency_key is not None:
        ticket_id, fresh = await idempotency.claim(conn, who.id, idempotency_key, draft)
        if not fresh:
            return await get(conn, who, ticket_id)
    ticket_id = await repository.add(conn, ticket_id, who.id, draft)
    metrics.TICKETS_CREATED.add_if_committed(priority=draft.priority or "unset")
    await history.record(conn, ticket_id, actor(who), "created", {"priority": draft.priority})
    payload = TicketJob(ticket_id=ticket_id).model_dump(mode="json")
    await jobs.enqueue(conn, TRIAGE_TICKET, payload, dedupe_key=str(ticket_id))
    await followers.tell(conn, ticket_id, "changed")
    return await get(conn, who, ticket_id)


async def get(conn: Connection, who: Identity, ticket_id: UUID) -> Ticket:
    return visible_to(who, await repository.get(conn, ticket_id))


async def page(
    conn: Connection, who: Identity, filters: Filters, before: UUID | None, limit: int
) -> tuple[list[Ticket], str | None]:
    """Newest first, and the cursor of the next page."""
    if not who.is_staff:
        filters = filters.model_copy(update={"customer": who.id})
    found = await repository.page(conn, filters, before, limit + 1)
    items = [visible_to(who, ticket) for ticket in found[:limit]]
    return items, str(items[-1].id) if len(found) > limit else None


async def patch(
    conn: Connection, who: Identity, ticket_id: UUID, change: TicketPatch, *, versions: frozenset[int] | None
) -> Ticket:
    """Change fields of a ticket whose version is one of `versions`; `None` means whatever it is."""
    ticket = await locked(conn, who, ticket_id)
    if not who.is_staff:
        raise Forbidden
    if versions is not None and ticket.version not in versions:
        raise TicketStale(version=ticket.version)
    queue_id = await repository.queue_id(conn, change.queue) if change.queue else None
    if change.queue and queue_id is None:
        raise UnknownQueue
    if change.custom is not None:
        await fields.check(conn, change.queue or ticket.queue, change.custom)
    data = history.changes(change)
    if not data:
        return ticket
    await repository.change(conn, ticket_id, change, queue_id)
    await history.record(conn, ticket_id, actor(who), "changed", data)
    said = Correction(
        intent=change.intent, queue=change.queue, priority=change.priority, sentiment=change.sentiment
    )
    await triage.correct(conn, ticket_id, actor(who), said)
    if change.queue and ticket.assignee is None:
        await wake_routing(conn, BacklogJob(queue=change.queue))
    await followers.tell(conn, ticket_id, "changed")
    return await get(conn, who, ticket_id)


async def transition(conn: Connection, who: Identity, ticket_id: UUID, to: Status) -> Ticket:
    """Move a ticket along; of two people at once, the second sees what the first made of it."""
    ticket = await locked(conn, who, ticket_id)
    if ticket.merged_into:
        raise TicketMerged(merged_into=str(ticket.merged_into))
    allowed = legal(ticket.status, staff=who.is_staff)
    if to not in allowed:
        raise IllegalTransition(legal=allowed, status_now=ticket.status)
    if to == "resolved":
        await fields.check_complete(conn, ticket.queue, ticket.custom)
    await move(conn, actor(who), ticket, to)
    return await get(conn, who, ticket_id)


async def messages(
    conn: Connection, who: Identity, ticket_id: UUID, after: UUID | None, limit: int
) -> tuple[list[Message], str | None]:
    """Oldest first, and the cursor of the next page."""
    await get(conn, who, ticket_id)
    found = await history_repository.messages(
        conn, ticket_id, internal=who.is_staff, after=after, limit=limit + 1
    )
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else None


async def add_message(
    conn: Connection,
    who: Identity,
    ticket_id: UUID,
    draft: MessageDraft,
    *,
    idempotency_key: str | None = None,
) -> Message:
    """A reply, or a note among agents. A customer's reply reopens a ticket that waited for them."""
    ticket = await locked(conn, who, ticket_id)
    message_id = None
    if idempotency_key is not None:
        message_id, fresh = await idempotency.claim(conn, who.id, idempotency_key, draft, str(ticket_id))
        if not fresh:
            return await history_repository.message(conn, message_id)
    if draft.internal and not who.is_staff:
        raise Forbidden("Only agents write internal notes.")
    if ticket.merged_into:
        raise TicketMerged(merged_into=str(ticket.merged_into))
    if ticket.status == "closed" and not draft.internal:
        raise TicketClosed
    message_id = await history_repository.add_message(
        conn, ticket_id, ticket.customer.id, who.id, draft.body, draft.internal, message_id=message_id
    )
    kind = "note_added" if draft.internal else "message_added"
    await history.record(conn, ticket_id, actor(who), kind, {"message_id": str(message_id)})
    if who.id == ticket.customer.id and ticket.status in REOPENED_BY_REPLY:
        await move(conn, actor(who), ticket, "open")
    if not draft.internal:
        is_customer = who.id == ticket.customer.id
        await followers.tell(conn, ticket_id, "customer_message" if is_customer else "reply")
    return await history_repository.message(conn, message_id)


async def events(
    conn: Connection, who: Identity, ticket_id: UUID, after: UUID | None, limit: int
) -> tuple[list[Event], str | None]:
    """Oldest first, and the cursor of the next page. Customers do not see what agents do among themselves."""
    await get(conn, who, ticket_id)
    kinds = None if who.is_staff else CUSTOMERS_SEE
    found = await history_repository.events(conn, ticket_id, kinds, after, limit + 1)
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else None


async def visible_events(conn: Connection, who: Identity, ticket_id: UUID) -> Callable[[DomainEvent], bool]:
    """Whether `who`, who may see this ticket, may see an event of the log."""
    await get(conn, who, ticket_id)

    def visible(event: DomainEvent) -> bool:
        mine = event.aggregate == history.TICKET and event.aggregate_id == ticket_id
        return mine and (who.is_staff or event.kind in CUSTOMERS_SEE)

    return visible


def actor(who: Identity) -> str:
    return f"user:{who.id}"


def visible_to(who: Identity, ticket: Ticket | None) -> Ticket:
    """The ticket as `who` may see it."""
    if ticket is None or not (who.is_staff or ticket.customer.id == who.id):
        raise TicketNotFound
    return ticket if who.is_staff else ticket.model_copy(update={"triage": None})


async def locked(conn: Connection, who: Identity, ticket_id: UUID) -> Ticket:
    """The ticket as `who` may see it, and as it stays until this transaction ends."""
    return visible_to(who, await repository.lock(conn, ticket_id))


async def move(conn: Connection, by: str, ticket: Ticket, to: Status) -> None:
    """What follows from a ticket's next status; whether somebody may is settled before."""
    if to not in TRANSITIONS[ticket.status]:
        raise IllegalTransition(legal=legal(ticket.status, staff=True))
    await repository.set_status(conn, ticket.id, to)
    await history.record(conn, ticket.id, by, "status_changed", {"from": ticket.status, "to": to})
    if to in ENDED and ticket.status not in ENDED and ticket.assignee:
        await wake_routing(conn, BacklogJob(agent_id=ticket.assignee.id))
    if to not in ENDED and ticket.assignee is None and ticket.queue:
        await wake_routing(conn, BacklogJob(queue=ticket.queue))
    await followers.tell(conn, ticket.id, "changed")


async def wake_routing(conn: Connection, reason: BacklogJob) -> None:
    """Routing stands above tickets: it is told by a job."""
    payload = reason.model_dump(mode="json")
    await jobs.enqueue(conn, ASSIGN_BACKLOG, payload, dedupe_key=f"{reason.agent_id or reason.queue}")
