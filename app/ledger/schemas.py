"""An inquiry's life as the ledger keeps it: entries that are never changed, revoked by later ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field

from app.tickets.states import Status

Ending: TypeAlias = Literal["resolved_by_assistant", "resolved_by_agent", "abandoned"]
State: TypeAlias = Literal["opened", "reopened", "merged"] | Ending
Kind: TypeAlias = State | Literal["handed_over", "classified", "replied", "rated"]
Standing: TypeAlias = Literal[
    "asked", "answered", "abstained", "degraded", "interrupted", "unhelpful", "handed_over"
]
"""Where a conversation stands: what its last answer was like, or that a question has none yet."""


class Entry(BaseModel):
    """One thing the ledger learnt of an inquiry."""

    id: UUID
    kind: Kind
    reason: str
    valid_at: datetime = Field(description="when it was so")
    recorded_at: datetime = Field(description="since when that is known")
    revokes: UUID | None = Field(description="the entry that turned out wrong")
    ticket_id: UUID | None
    queue: str | None = Field(description="as it was known then; so are `intent` and `language`")
    intent: str | None
    language: str | None
    agent_id: UUID | None = Field(description="who replied, or had the ticket when it ended")
    value: float | None = Field(description="of `replied`: seconds; of `rated`: the score")


@dataclass(frozen=True, slots=True)
class Now:
    """The state an inquiry is in: the last entry that says so."""

    id: UUID
    state: State
    reason: str
    valid_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be. `valid_at` is the moment of writing unless it says otherwise."""

    kind: Kind
    reason: str
    valid_at: datetime | None = None
    revokes: UUID | None = None
    agent_id: UUID | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as the ledger watches it; `since` is when anything last happened in it."""

    inquiry_id: UUID
    standing: Standing
    answer_id: UUID | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Labels:
    """What an inquiry is about, as far as is known."""

    queue: str | None = None
    intent: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A ticket as it stands after a change, beside what the ledger knows of its inquiry.

    `moved_by_customer` and `moved_from` are of the last change of status; `score` is the customer's rating.
    """

    inquiry_id: UUID
    now: Now | None
    known: Labels
    replied: bool
    rated: float | None
    status: Status
    merged: bool
    labels: Labels
    created_at: datetime
    replied_at: datetime | None
    replier_id: UUID | None
    assignee_id: UUID | None
    moved_by_customer: bool
    moved_from: str | None
    score: int | None
