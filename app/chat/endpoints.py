"""/api/v1/chat: conversations with the assistant."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from app import streaming
from app.auth.access import SignedIn
from app.chat import service
from app.chat.schemas import (
    Conversation,
    ConversationIn,
    Conversations,
    FeedbackIn,
    HandoffIn,
    MessageIn,
    Messages,
)
from app.errors import Invalid, ServiceError, Unauthorised, Unavailable, documented
from app.state import Current, Transaction
from app.tickets.schemas import Ticket
from models.agents.protocol import Event

router = APIRouter(
    prefix="/api/v1/chat/conversations",
    tags=["chat"],
    responses=documented(Unauthorised, Invalid, Unavailable),
)
ONE = documented(service.ConversationNotFound)

log = structlog.get_logger(__name__)

UNFORESEEN = "Something went wrong on our side; ask again."

Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("", status_code=201)
async def start(body: ConversationIn, who: SignedIn, conn: Transaction, response: Response) -> Conversation:
    conversation = await service.start(conn, who, body.title)
    response.headers["Location"] = f"{router.prefix}/{conversation.id}"
    return conversation


@router.get("")
async def page(
    who: SignedIn, conn: Transaction, cursor: UUID | None = None, limit: Limit = 20
) -> Conversations:
    """Your conversations, newest first."""
    items, last = await service.page(conn, who, cursor, limit)
    return Conversations(items=items, next_cursor=str(last) if last else None)


@router.get("/{conversation_id}", responses=ONE)
async def get(conversation_id: UUID, who: SignedIn, conn: Transaction) -> Conversation:
    return await service.get(conn, who, conversation_id)


@router.get("/{conversation_id}/messages", responses=ONE)
async def messages(
    conversation_id: UUID,
    who: SignedIn,
    conn: Transaction,
    cursor: UUID | None = None,
    limit: Limit = 50,
) -> Messages:
    """What was said, oldest first."""
    items, last = await service.messages(conn, who, conversation_id, cursor, limit)
    return Messages(items=items, next_cursor=str(last) if last else None)


@router.post(
    "/{conversation_id}/messages",
    response_class=StreamingResponse,
    responses=ONE | {200: {"content": {"text/event-stream": {"schema": streaming.EVENT_SCHEMA}}}},
)
async def ask(conversation_id: UUID, body: MessageIn, who: SignedIn, state: Current) -> StreamingResponse:
    """Ask; the answer is events: `meta`, `delta`s, `citation`s, at times `restart` or `handoff`, `done`."""
    asked = await service.ask(state, who, conversation_id, body.content)
    events = await streaming.primed(service.answer(state, who, asked))
    return streaming.response(_encoded(events))


async def _encoded(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The status is long sent when something fails here: the stream says so itself."""
    try:
        async for event in events:
            yield streaming.event(event.kind, event.data)
    except ServiceError as error:
        yield streaming.event("error", {"reason": error.kind, "detail": error.detail})
    except Exception as error:  # nobody above can answer any more
        log.error("an answer broke off", exc_info=error)
        yield streaming.event("error", {"reason": "service-error", "detail": UNFORESEEN})


@router.post(
    "/{conversation_id}/feedback", status_code=204, responses=ONE | documented(service.AnswerNotFound)
)
async def judge(conversation_id: UUID, body: FeedbackIn, who: SignedIn, conn: Transaction) -> None:
    """Say whether an answer helped; a second verdict replaces the first."""
    await service.judge(conn, who, conversation_id, body)


@router.post("/{conversation_id}/handoff", status_code=201, responses=ONE | documented(service.NothingAsked))
async def hand_over(conversation_id: UUID, body: HandoffIn, who: SignedIn, conn: Transaction) -> Ticket:
    """Open a ticket with everything said so far."""
    return await service.hand_over(conn, who, conversation_id, body.subject)
