"""Conversations on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from app.tickets.schemas import STORABLE, Subject


class ConversationIn(BaseModel):
    title: Annotated[str, Field(max_length=200), STORABLE] = ""


class Conversation(BaseModel):
    id: UUID
    title: str
    ticket_id: UUID | None = None
    triage: dict[str, JsonValue] | None = Field(
        None,
        description="what the first question is about, with probabilities, reasons and version; "
        "null until it was read, and to customers",
    )
    created_at: datetime
    updated_at: datetime


class Conversations(BaseModel):
    items: list[Conversation]
    next_cursor: str | None = None


class MessageIn(BaseModel):
    content: Annotated[str, Field(min_length=1, max_length=8000, pattern=r"\S"), STORABLE]


class Citation(BaseModel):
    article_id: str
    title: str
    section: str
    url: str | None
    chunk_id: str


class Message(BaseModel):
    id: UUID
    author: Literal["customer", "assistant", "agent"]
    content: str
    citations: list[Citation]
    outcome: Literal["answered", "abstained", "degraded", "interrupted"] | None
    sources: list[UUID] = Field([], exclude=True, description="the articles it was written from")
    withheld: bool = Field(False, description="its text rests on an article that you may not read (any more)")
    created_at: datetime


class Messages(BaseModel):
    items: list[Message]
    next_cursor: str | None = None


class FeedbackIn(BaseModel):
    message_id: UUID
    helpful: bool
    comment: Annotated[str, Field(max_length=2000), STORABLE] = ""


class HandoffIn(BaseModel):
    subject: Subject | None = Field(None, description="default: the first question")


class ConversationJob(BaseModel):
    """Payload of `classify_conversation`."""

    conversation_id: UUID
