"""How satisfied the customer was with what became of their ticket."""

from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden
from app.tickets import followers, history, repository
from app.tickets.schemas import Csat, CsatDraft
from app.tickets.service import actor, locked
from app.tickets.states import ENDED


class TicketNotEnded(Conflict):
    """A ticket is rated once it is resolved or closed."""


async def rate(conn: Connection, who: Identity, ticket_id: UUID, draft: CsatDraft) -> Csat:
    """Keep the customer's word; a second one replaces the first."""
    ticket = await locked(conn, who, ticket_id)
    if ticket.customer.id != who.id:
        raise Forbidden("Only the ticket's customer rates it.")
    if ticket.status not in ENDED:
        raise TicketNotEnded
    rated = await repository.set_csat(conn, ticket_id, ticket.customer.id, draft)
    await history.record(conn, ticket_id, actor(who), "rated", {"score": draft.score})
    await followers.tell(conn, ticket_id, "changed")
    return rated
