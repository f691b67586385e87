"""What routing and SLA do to tickets. Nobody's request comes here: there is no identity to check."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue

from app.db import Connection
from app.tickets import followers, history, repository
from app.tickets.schemas import PRIORITIES, BacklogJob, Decision, Ticket, TicketPatch
from app.tickets.service import move, wake_routing
from monitoring import metrics


async def read(conn: Connection, ticket_id: UUID) -> Ticket | None:
    return await repository.get(conn, ticket_id)


async def texts(conn: Connection, ticket_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """Subject and body of each of these tickets that there is."""
    return await repository.texts(conn, ticket_ids)


async def texts_after(
    conn: Connection, after: UUID | None, limit: int, *, untriaged: bool
) -> list[tuple[UUID, str, str]]:
    """Id, subject and body of the tickets that follow, oldest first; only those that triage never read."""
    return await repository.texts_after(conn, after, limit, untriaged=untriaged)


async def lock(conn: Connection, ticket_id: UUID) -> Ticket | None:
    """The ticket as it stays until this transaction ends."""
    return await repository.lock(conn, ticket_id)


async def lock_free(conn: Connection, ticket_ids: Sequence[UUID]) -> list[UUID]:
    """Lock those of the tickets that nobody holds right now; which they are."""
    return await repository.lock_free(conn, ticket_ids)


async def queue_id(conn: Connection, name: str) -> UUID | None:
    return await repository.queue_id(conn, name)


async def record_triage(conn: Connection, ticket_id: UUID, decision: Decision) -> None:
    """Write what triage decided; what a person decided meanwhile stays."""
    queue_id = await repository.queue_id(conn, decision.queue) if decision.queue else None
    await repository.set_triage(conn, ticket_id, decision, queue_id)
    await history.record(conn, ticket_id, "system:triage", "triaged", decision.record)
    await followers.tell(conn, ticket_id, "changed")


async def assign(conn: Connection, ticket_id: UUID, user_id: UUID, score: dict[str, JsonValue]) -> None:
    """Give the ticket to an agent; `score` says why."""
    await repository.set_assignee(conn, ticket_id, user_id)
    metrics.ASSIGNMENTS.add_if_committed(by="routing")
    data: dict[str, JsonValue] = {"assignee": str(user_id), "score": score}
    await history.record(conn, ticket_id, "system:routing", "assigned", data)


async def note(conn: Connection, ticket_id: UUID, by: str, kind: str, data: dict[str, JsonValue]) -> None:
    """Write an event into the ticket's history."""
    await history.record(conn, ticket_id, by, kind, data)


async def raise_priority(conn: Connection, ticket_id: UUID, by: str) -> None:
    """One step up, where there is one."""
    ticket = await repository.lock(conn, ticket_id)
    if ticket is None or ticket.priority == PRIORITIES[-1]:
        return
    above = PRIORITIES[PRIORITIES.index(ticket.priority or "normal") + 1]
    await repository.change(conn, ticket_id, TicketPatch(priority=above), None)
    await history.record(conn, ticket_id, by, "changed", {"priority": above})
    await followers.tell(conn, ticket_id, "changed")


async def hand_over(conn: Connection, ticket_id: UUID, queue: str, by: str) -> None:
    """Take the ticket from who has it and let routing find somebody in another queue."""
    to = await repository.queue_id(conn, queue)
    if to is None:
        return
    await repository.clear_assignee(conn, ticket_id)
    await repository.change(conn, ticket_id, TicketPatch(queue=queue), to)
    await history.record(conn, ticket_id, by, "changed", {"queue": queue, "assignee": None})
    await wake_routing(conn, BacklogJob(queue=queue))
    await followers.tell(conn, ticket_id, "changed")


async def close(conn: Connection, ticket_id: UUID, by: str) -> None:
    """End the ticket, wherever it stands."""
    ticket = await repository.lock(conn, ticket_id)
    if ticket is not None and ticket.status != "closed":
        await move(conn, by, ticket, "closed")


async def take_away(conn: Connection, ticket_id: UUID, by: str) -> None:
    """Take the ticket from who has it and let routing find somebody else in its queue."""
    ticket = await repository.lock(conn, ticket_id)
    if ticket is None or ticket.assignee is None:
        return
    await repository.clear_assignee(conn, ticket_id)
    await history.record(conn, ticket_id, by, "unassigned", {})
    if ticket.queue:
        await wake_routing(conn, BacklogJob(queue=ticket.queue))


async def note_waiting(conn: Connection, ticket_id: UUID, reason: str) -> None:
    """Record why a ticket has no assignee yet."""
    await history.record(conn, ticket_id, "system:routing", "waiting", {"reason": reason})


async def unassigned(conn: Connection, queue_ids: Sequence[UUID], limit: int) -> list[Ticket]:
    """Waiting tickets of these queues, those that waited longest for their priority first; locked."""
    return await repository.unassigned(conn, queue_ids, limit)


async def open_counts(conn: Connection, user_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many tickets that are not ended each of them has; who has none is left out."""
    return await repository.open_counts(conn, user_ids)


async def forget(conn: Connection, customer_id: UUID) -> None:
    """What erasing a person means for their tickets: no word finds them. Their texts go with the key."""
    await repository.forget_words(conn, customer_id)
