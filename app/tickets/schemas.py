"""Tickets on the wire, and the checks that everything written by people goes through."""

import json
from datetime import datetime
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from app.tickets.states import Status

Priority: TypeAlias = Literal["low", "normal", "high", "urgent"]
Sentiment: TypeAlias = Literal["negative", "neutral", "positive"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high", "urgent")
MAX_CUSTOM_BYTES = 4096


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


def _storable_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what PostgreSQL's jsonb does: NUL, NaN, infinities, lone surrogates; and what is too long."""
    size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    if size > MAX_CUSTOM_BYTES:
        raise ValueError(f"takes {size} bytes as JSON; at most {MAX_CUSTOM_BYTES} are kept")
    if _has_nul(value):
        raise ValueError("must not contain NUL characters")
    return value


def _has_nul(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)


STORABLE = AfterValidator(_storable)
Subject: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), STORABLE
]
Body: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), STORABLE
]
Tag: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), STORABLE
]
Tags: TypeAlias = Annotated[list[Tag], Field(max_length=20)]
Custom: TypeAlias = Annotated[dict[str, JsonValue], AfterValidator(_storable_json)]
SearchText: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200), STORABLE]
QueueName: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=100), STORABLE]
IntentName: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), STORABLE
]


class Request(BaseModel):
    """What a client sends; a misspelt field is an error, not silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TicketDraft(Request):
    subject: Subject
    body: Body
    priority: Priority | None = Field(None, description="at least this; triage may raise it, never lower it")
    tags: Tags = []
    custom: Custom = {}


class TicketPatch(Request):
    """What to change; a field left out stays. For agents and above."""

    subject: Subject | None = None
    priority: Priority | None = None
    queue: QueueName | None = Field(None, description="the queue's name")
    intent: IntentName | None = Field(None, description="what it is about; also one that is new")
    sentiment: Sentiment | None = Field(None, description="how the customer feels, where triage misread it")
    tags: Tags | None = None
    custom: Custom | None = None


class MessageDraft(Request):
    body: Body
    internal: bool = Field(False, description="a note among agents, never shown to the customer")


class Transition(Request):
    to: Status


class Assignment(Request):
    action: Literal["assign", "take", "unassign"] = Field(
        description="`take` gives it to you, if nobody else has it"
    )
    assignee: UUID | None = Field(None, description="for `assign`: an agent's id")

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if (self.assignee is None) == (self.action == "assign"):
            raise ValueError("assignee: `assign` needs one, `take` and `unassign` take none")
        return self


class CsatDraft(Request):
    score: int = Field(ge=1, le=5, description="from 1, bad, to 5, excellent")
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), STORABLE] = ""


class Csat(BaseModel):
    score: int
    comment: str
    updated_at: datetime


class Person(BaseModel):
    id: UUID
    name: str


class Promise(BaseModel):
    """What the customer was promised, and how that stands."""

    kind: Literal["first_response", "next_response", "resolution"]
    state: Literal["active", "paused", "met", "breached"]
    target_at: datetime | None = Field(description="null while it is paused")
    warned: int = Field(description="per cent of the target at which it was last warned of")


class Ticket(BaseModel):
    id: UUID
    number: int = Field(description="for people to say on the phone")
    subject: str
    body: str
    status: Status
    priority: Priority | None = Field(description="null until triage has read the ticket")
    queue: str | None = Field(description="the queue's name; null until triage or a person decides")
    intent: str | None
    language: str | None = Field(description="ISO 639-1")
    sentiment: str | None
    assignee: Person | None
    customer: Person
    tags: list[str]
    custom: dict[str, JsonValue]
    triage: dict[str, JsonValue] | None = Field(
        description="version, probabilities and reasons of the decision; only agents and above see it"
    )
    sla: list[Promise]
    csat: Csat | None = Field(description="the customer's rating")
    merged_into: UUID | None = Field(description="the ticket that this one became part of")
    version: int = Field(description="the ETag; it grows with every change of the ticket itself")
    created_at: datetime
    updated_at: datetime


class Tickets(BaseModel):
    items: list[Ticket]
    next_cursor: str | None


class Message(BaseModel):
    id: UUID
    ticket_id: UUID
    author: Person
    internal: bool
    body: str
    created_at: datetime


class Messages(BaseModel):
    items: list[Message]
    next_cursor: str | None


class Event(BaseModel):
    id: UUID
    ticket_id: UUID
    actor: str = Field(description="`user:` and an id, or `system:` and the part that acted")
    kind: str
    data: dict[str, JsonValue]
    created_at: datetime


class Events(BaseModel):
    items: list[Event]
    next_cursor: str | None


class Filters(BaseModel):
    """Which tickets to list; `None` means any."""

    model_config = ConfigDict(frozen=True)

    q: SearchText | None = None
    status: Status | None = None
    queue: QueueName | None = None
    priority: Priority | None = None
    assignee: UUID | None = None
    customer: UUID | None = None
    number: int | None = None


class Decision(BaseModel):
    """What triage decided about a ticket, as it is written to it."""

    model_config = ConfigDict(frozen=True)

    queue: str | None
    intent: str | None
    language: str | None
    sentiment: str
    priority: Priority
    record: dict[str, JsonValue]
    add_tags: list[str] = []


class TicketJob(BaseModel):
    """Payload of `triage_ticket`."""

    ticket_id: UUID


class BacklogJob(BaseModel):
    """Payload of `assign_backlog`: somebody may have become free, or a queue has something new."""

    agent_id: UUID | None = None
    queue: str | None = None
