"""Tickets that have to do with each other, and tickets that turn out to be one."""

from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.tickets import followers, history, history_repository, linked_repository, repository
from app.tickets.schemas import BacklogJob, Request, Ticket
from app.tickets.service import actor, get, locked, wake_routing
from app.tickets.states import ENDED, Status

Kind: TypeAlias = Literal["relates_to", "blocks", "causes", "duplicates"]


class LinkDraft(Request):
    kind: Kind = Field(description="this ticket blocks, causes or duplicates the other, or relates to it")
    ticket_id: UUID


class Link(BaseModel):
    kind: Kind
    direction: Literal["out", "in"] = Field(description="`in`: the other ticket names this one")
    ticket_id: UUID
    number: int
    subject: str
    status: Status
    created_at: datetime


class Links(BaseModel):
    items: list[Link]
    next_cursor: str | None = None


class MergeDraft(Request):
    into: UUID = Field(description="the ticket that remains")


class LinkNotFound(NotFound):
    """There is no such link from this ticket."""


class ToItself(Invalid):
    """A ticket cannot be linked to, or merged into, itself."""


class CannotMerge(Conflict):
    """Only tickets of one customer merge, neither of them merged before, into one that is not ended."""


async def links(conn: Connection, who: Identity, ticket_id: UUID) -> list[Link]:
    _staff(who)
    await get(conn, who, ticket_id)
    return [Link.model_validate(row) for row in await linked_repository.links(conn, ticket_id)]


async def link(conn: Connection, who: Identity, ticket_id: UUID, draft: LinkDraft) -> list[Link]:
    """Say how two tickets have to do with each other; saying it again changes nothing."""
    _staff(who)
    await _both_locked(conn, who, ticket_id, draft.ticket_id)
    if await linked_repository.add_link(conn, ticket_id, draft.kind, draft.ticket_id):
        await _said_of_both(conn, who, "linked", ticket_id, draft.ticket_id, draft.kind)
    return await links(conn, who, ticket_id)


async def unlink(conn: Connection, who: Identity, ticket_id: UUID, kind: Kind, other_id: UUID) -> None:
    _staff(who)
    await _both_locked(conn, who, ticket_id, other_id)
    if not await linked_repository.drop_link(conn, ticket_id, kind, other_id):
        raise LinkNotFound
    await _said_of_both(conn, who, "unlinked", ticket_id, other_id, kind)


async def merge(conn: Connection, who: Identity, ticket_id: UUID, into_id: UUID) -> Ticket:
    """Move everything said in a ticket to another one of the same customer, and close it for good."""
    _staff(who)
    merged, remains = await _both_locked(conn, who, ticket_id, into_id)
    if (
        merged.customer.id != remains.customer.id
        or remains.status in ENDED
        or merged.merged_into
        or remains.merged_into
    ):
        raise CannotMerge
    customer = merged.customer.id
    await history_repository.add_message(conn, into_id, customer, customer, merged.body, internal=False)
    await linked_repository.move(conn, ticket_id, into_id)
    await repository.set_status(conn, ticket_id, "closed")
    await repository.touch(conn, into_id)
    await history.record(conn, ticket_id, actor(who), "merged", {"into": str(into_id)})
    await history.record(conn, into_id, actor(who), "absorbed", {"ticket_id": str(ticket_id)})
    for changed in (ticket_id, into_id):
        await followers.tell(conn, changed, "changed")
    if merged.assignee and merged.status not in ENDED:
        await wake_routing(conn, BacklogJob(agent_id=merged.assignee.id))
    return await get(conn, who, into_id)


async def _both_locked(conn: Connection, who: Identity, one: UUID, other: UUID) -> tuple[Ticket, Ticket]:
    """In the order of their ids, so that two requests cannot wait for each other for ever."""
    if one == other:
        raise ToItself
    found = {each: await locked(conn, who, each) for each in sorted((one, other))}
    return found[one], found[other]


async def _said_of_both(
    conn: Connection, who: Identity, kind: str, one: UUID, other: UUID, link_kind: Kind
) -> None:
    for ticket_id, named in ((one, other), (other, one)):
        data = {"kind": link_kind, "ticket_id": str(named), "direction": "out" if ticket_id == one else "in"}
        await history.record(conn, ticket_id, actor(who), kind, data)


def _staff(who: Identity) -> None:
    if not who.is_staff:
        raise Forbidden
