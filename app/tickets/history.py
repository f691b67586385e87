"""What happens to a ticket is said twice in its transaction: in its own history, and in the log of events."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import JsonValue

from app.db import Connection
from app.events import service as events
from app.tickets import history_repository
from app.tickets.schemas import TicketPatch

TICKET = "ticket"
PEOPLES_WORDS = {"subject", "custom", "tags"}


async def record(
    conn: Connection, ticket_id: UUID, actor: str, kind: str, data: Mapping[str, JsonValue]
) -> None:
    """The caller holds the ticket locked, or has just made it."""
    event_id = await history_repository.add_event(conn, ticket_id, actor, kind, dict(data))
    await events.publish(conn, TICKET, ticket_id, kind, actor, data, event_id=event_id)


def changes(patch: TicketPatch) -> dict[str, JsonValue]:
    """Which fields a patch sets, and to what; what people wrote stands in the ticket alone."""
    given = patch.model_dump(mode="json", exclude_none=True)
    shown: dict[str, JsonValue] = {k: v for k, v in given.items() if k not in PEOPLES_WORDS}
    fields: list[JsonValue] = [*sorted(given)]
    return {**shown, "fields": fields} if given else {}
