"""What is known of files that belong to a ticket. The files themselves lie where `url` says, if anywhere."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, Invalid
from app.tickets import history, idempotency, linked_repository
from app.tickets.schemas import STORABLE, Request
from app.tickets.service import TicketClosed, actor, get, locked

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), STORABLE]
MediaType = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}$")
]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https://[^\s\x00]+$", max_length=2000)]


class AttachmentDraft(Request):
    name: Name = Field(description="as people see it; nothing is ever opened by it")
    media_type: MediaType
    size_bytes: int = Field(ge=0, le=2**40)
    sha256: Sha256
    url: Url | None = None
    message_id: UUID | None = Field(None, description="the message it came with")
    internal: bool = Field(False, description="among agents; an internal message's attachment always is")


class Attachment(BaseModel):
    id: UUID
    ticket_id: UUID
    message_id: UUID | None
    internal: bool
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    url: str | None
    created_at: datetime


class Attachments(BaseModel):
    items: list[Attachment]
    next_cursor: str | None = None


class UnknownMessage(Invalid):
    """This ticket has no such message."""


async def page(conn: Connection, who: Identity, ticket_id: UUID) -> list[Attachment]:
    await get(conn, who, ticket_id)
    found = await linked_repository.attachments(conn, ticket_id, internal=who.is_staff)
    return [Attachment.model_validate(row) for row in found]


async def add(
    conn: Connection,
    who: Identity,
    ticket_id: UUID,
    draft: AttachmentDraft,
    *,
    idempotency_key: str | None = None,
) -> Attachment:
    ticket = await locked(conn, who, ticket_id)
    attachment_id = None
    if idempotency_key is not None:
        attachment_id, fresh = await idempotency.claim(conn, who.id, idempotency_key, draft, str(ticket_id))
        if not fresh:
            return Attachment.model_validate(await linked_repository.attachment(conn, attachment_id))
    if draft.internal and not who.is_staff:
        raise Forbidden("Only agents attach internally.")
    if ticket.status == "closed" and not draft.internal:
        raise TicketClosed
    internal = draft.internal
    if draft.message_id:
        of_note = await linked_repository.message_is_internal(conn, ticket_id, draft.message_id)
        if of_note is None or (of_note and not who.is_staff):
            raise UnknownMessage
        internal = internal or of_note
    fields = draft.model_dump() | {"internal": internal}
    added = await linked_repository.add_attachment(
        conn, attachment_id, ticket_id, ticket.customer.id, who.id, fields
    )
    kind = "attached_internally" if internal else "attached"
    await history.record(conn, ticket_id, actor(who), kind, {"attachment_id": str(added)})
    return Attachment.model_validate(await linked_repository.attachment(conn, added))
