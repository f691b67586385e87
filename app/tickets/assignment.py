"""People give tickets to each other, take them and put them back; routing does the rest."""

from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid
from app.tickets import history, repository
from app.tickets.schemas import Assignment, BacklogJob, Ticket
from app.tickets.service import actor, get, locked, wake_routing
from app.tickets.states import ENDED
from monitoring import metrics


class TicketTaken(Conflict):
    """Somebody else has this ticket; they, or a supervisor, may hand it over."""


class TicketEnded(Conflict):
    """This ticket is resolved or closed; reopen it first."""


class UnknownAssignee(Invalid):
    """There is no active agent of this id; GET /api/v1/routing/agents lists them."""


async def assign(conn: Connection, who: Identity, ticket_id: UUID, wish: Assignment) -> Ticket:
    """Agents dispose of tickets that nobody has or that are theirs, supervisors and admins of all.

    Of several who take one ticket at once the first has it, the others are told so.
    """
    ticket = await locked(conn, who, ticket_id)
    if not who.is_staff:
        raise Forbidden
    if ticket.status in ENDED:
        raise TicketEnded
    had = ticket.assignee.id if ticket.assignee else None
    if had not in {None, who.id} and (who.role == "agent" or wish.action == "take"):
        raise TicketTaken
    to = who.id if wish.action == "take" else wish.assignee
    if to == had:
        return ticket
    await _give(conn, who, ticket_id, to)
    if had and to:  # who put it back would get it back at once
        await wake_routing(conn, BacklogJob(agent_id=had))
    return await get(conn, who, ticket_id)


async def _give(conn: Connection, who: Identity, ticket_id: UUID, to: UUID | None) -> None:
    if to is None:
        await repository.clear_assignee(conn, ticket_id)
        await history.record(conn, ticket_id, actor(who), "unassigned", {})
        return
    if not await repository.is_staff(conn, to):
        raise UnknownAssignee
    await repository.set_assignee(conn, ticket_id, to)
    metrics.ASSIGNMENTS.add_if_committed(by="person")
    await history.record(conn, ticket_id, actor(who), "assigned", {"assignee": str(to)})
