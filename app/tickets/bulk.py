"""Many changes in one request, each with its own result: one that fails leaves the others as they are."""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import asyncpg
from pydantic import BaseModel, Field

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, ServiceError
from app.tickets import assignment, service
from app.tickets.schemas import Assignment, MessageDraft, Request, Ticket, TicketPatch, Transition

MAX_OPERATIONS = 500


class Crossed(Conflict):
    """Another request changed the same tickets in another order; repeat this operation."""


class Patching(Request):
    action: Literal["patch"]
    ticket_id: UUID
    change: TicketPatch
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="as `If-Match`; null means whatever it is"
    )


class Moving(Request):
    action: Literal["transition"]
    ticket_id: UUID
    change: Transition


class Assigning(Request):
    action: Literal["assignment"]
    ticket_id: UUID
    change: Assignment


class Writing(Request):
    action: Literal["message"]
    ticket_id: UUID
    change: MessageDraft


Operation: TypeAlias = Annotated[Patching | Moving | Assigning | Writing, Field(discriminator="action")]


class Operations(Request):
    operations: Annotated[list[Operation], Field(min_length=1, max_length=MAX_OPERATIONS)]


class Result(BaseModel):
    """What became of the operation at the same place in the request."""

    ticket_id: UUID
    status: int = Field(description="as the operation's own endpoint would have answered")
    version: int | None = Field(None, description="of the ticket afterwards; null where it failed")
    error: str | None = Field(None, description="the problem's `type`")
    detail: str | None = None


class Results(BaseModel):
    results: list[Result]


async def run(conn: Connection, who: Identity, operations: list[Operation]) -> list[Result]:
    """Carry out operations on one ticket in their order, and the tickets in the order of their ids.

    Two requests at once lock tickets in the same order and so do not wait for each other for ever.
    """
    if not who.is_staff:
        raise Forbidden
    order = sorted(range(len(operations)), key=lambda place: operations[place].ticket_id)
    results = {place: await _one(conn, who, operations[place]) for place in order}
    return [results[place] for place in range(len(operations))]


async def _one(conn: Connection, who: Identity, operation: Operation) -> Result:
    try:
        async with conn.transaction():
            ticket = await _apply(conn, who, operation)
    except ServiceError as error:
        return _failed(operation, error)
    except asyncpg.DeadlockDetectedError:
        return _failed(operation, Crossed())
    status = 201 if isinstance(operation, Writing) else 200
    return Result(ticket_id=operation.ticket_id, status=status, version=ticket.version)


async def _apply(conn: Connection, who: Identity, operation: Operation) -> Ticket:
    match operation:
        case Patching(ticket_id=ticket_id, change=change, version=version):
            versions = None if version is None else frozenset({version})
            return await service.patch(conn, who, ticket_id, change, versions=versions)
        case Moving(ticket_id=ticket_id, change=change):
            return await service.transition(conn, who, ticket_id, change.to)
        case Assigning(ticket_id=ticket_id, change=change):
            return await assignment.assign(conn, who, ticket_id, change)
        case Writing(ticket_id=ticket_id, change=change):
            await service.add_message(conn, who, ticket_id, change)
            return await service.get(conn, who, ticket_id)


def _failed(operation: Operation, error: ServiceError) -> Result:
    kind = f"urn:eservice:{error.kind}"
    return Result(ticket_id=operation.ticket_id, status=error.status, error=kind, detail=error.detail)
