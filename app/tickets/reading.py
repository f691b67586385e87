"""One ticket, from the cache where it has it: what desks read most."""

from datetime import UTC, datetime
from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.state import State
from app.tickets import repository
from app.tickets.schemas import Promise, Ticket
from app.tickets.service import TicketNotFound, visible_to


async def ticket(state: State, who: Identity, ticket_id: UUID) -> Ticket:
    """As `who` may see it; a ticket that does not exist is not remembered."""

    async def load(conn: Connection) -> Ticket:
        found = await repository.get(conn, ticket_id)
        if found is None:
            raise TicketNotFound
        return found

    tags = (f"ticket:{ticket_id}", "user", "queue")
    return as_of(
        visible_to(who, await state.read(f"ticket:{ticket_id}", tags, Ticket, load)), datetime.now(UTC)
    )


def as_of(ticket: Ticket, now: datetime) -> Ticket:
    """Time breaks promises without anybody changing the ticket."""
    return ticket.model_copy(update={"sla": [_promise(promise, now) for promise in ticket.sla]})


def _promise(promise: Promise, now: datetime) -> Promise:
    if promise.state == "active" and promise.target_at and promise.target_at <= now:
        return promise.model_copy(update={"state": "breached"})
    return promise
