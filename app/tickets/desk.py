"""What routing does to tickets. Nobody's request comes here: there is no identity to check."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue

from app.db import Connection
from app.tickets import repository
from app.tickets.schemas import Decision, Ticket


async def read(conn: Connection, ticket_id: UUID) -> Ticket | None:
    return await repository.get(conn, ticket_id)


async def lock(conn: Connection, ticket_id: UUID) -> Ticket | None:
    """The ticket as it stays until this transaction ends."""
    return await repository.lock(conn, ticket_id)


async def record_triage(conn: Connection, ticket_id: UUID, decision: Decision) -> None:
    """Write what triage decided; what a person decided meanwhile stays."""
    queue_id = await repository.queue_id(conn, decision.queue) if decision.queue else None
    await repository.set_triage(conn, ticket_id, decision, queue_id)
    await repository.add_event(conn, ticket_id, "system:triage", "triaged", decision.record)


async def assign(conn: Connection, ticket_id: UUID, user_id: UUID, score: dict[str, JsonValue]) -> None:
    """Give the ticket to an agent; `score` says why."""
    await repository.set_assignee(conn, ticket_id, user_id)
    data = {"assignee": str(user_id), "score": score}
    await repository.add_event(conn, ticket_id, "system:routing", "assigned", data)


async def note_waiting(conn: Connection, ticket_id: UUID, reason: str) -> None:
    """Record why a ticket has no assignee yet."""
    await repository.add_event(conn, ticket_id, "system:routing", "waiting", {"reason": reason})


async def unassigned(conn: Connection, queue_ids: Sequence[UUID], limit: int) -> list[Ticket]:
    """Waiting tickets of these queues, urgent ones first, locked for this transaction."""
    return await repository.unassigned(conn, queue_ids, limit)


async def open_counts(conn: Connection, user_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many tickets that are not ended each of them has; who has none is left out."""
    return await repository.open_counts(conn, user_ids)
