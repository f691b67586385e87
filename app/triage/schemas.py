"""Versions of triage, what they decided, what people corrected, and what drifts."""

from datetime import date, datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

State: TypeAlias = Literal["candidate", "shadow", "active", "retired"]
Reason: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

LabelName: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00]+$")
]


class Comparison(BaseModel):
    """A version against the one that was active, on examples that are newer than what either had learnt.

    `wins` are those that only the newcomer had right, `losses` those that only the other had; `p` is the
    chance of so many wins among them if both were equally good (McNemar's exact test, one-sided).
    """

    against: UUID
    size: int
    accuracy: float
    accuracy_against: float
    wins: int
    losses: int
    p: float

    @property
    def is_win(self) -> bool:
        return self.wins > self.losses and self.p < WIN_P


WIN_P = 0.05


class Version(BaseModel):
    """`artefact` and `data` are places below the URL that artefacts lie under."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    state: State
    artefact: str
    data: str | None = Field(description="the examples it was learnt from, corrections not among them")
    data_fingerprint: str
    figures: dict[str, JsonValue]
    comparison: Comparison | None = Field(description="on the newest slice, when it was trained")
    promoted_at: datetime | None
    promoted_by: str | None
    created_at: datetime
    forgot_at: datetime | None = Field(None, description="when an erasure last took vectors out of it")


class Versions(BaseModel):
    items: list[Version]
    next_cursor: str | None = None


class Trained(BaseModel):
    """What training registers."""

    model_config = ConfigDict(frozen=True)

    artefact: str
    data: str | None
    data_fingerprint: str
    figures: dict[str, JsonValue]
    comparison: Comparison | None = None
    label_counts: dict[str, int] | None = None
    """How many examples of each label there were."""


class Promotion(BaseModel):
    """Without proof that the version is better, a promotion needs a reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    without_proof: Reason | None = Field(None, description="why to promote a version that has not won")


class LabelDraft(BaseModel):
    """A label nobody has used yet: until it has examples, an LLM goes by what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: Reason = Field(description="what such tickets are about, in a sentence")
    queue: LabelName | None = Field(None, description="the name of the queue they go to")


class NewLabel(LabelDraft):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    created_by: str
    created_at: datetime


class NewLabels(BaseModel):
    items: list[NewLabel]
    next_cursor: str | None = None


class Standing(BaseModel):
    """How a version does on tickets that people corrected or left as they were when they resolved them."""

    decided: int = Field(description="tickets it has read")
    comparison: Comparison | None = Field(description="where both versions read the same corrected tickets")


class Said(BaseModel):
    """One version's word on one ticket, as it is kept."""

    model_config = ConfigDict(frozen=True)

    version_id: UUID
    shadow: bool
    intent: str | None
    queue: str | None
    priority: str
    best: str
    probability: float
    familiarity: float
    projection: list[float]


class Correction(BaseModel):
    """What a person said of a ticket; `None` where they said nothing."""

    model_config = ConfigDict(frozen=True)

    intent: str | None = None
    queue: str | None = None
    priority: str | None = None
    sentiment: str | None = None


class Corrected(Correction):
    """A correction as training reads it. Where only a queue was named, the queue is what is learnt."""

    ticket_id: UUID
    updated_at: datetime

    @property
    def label(self) -> str | None:
        return self.intent or self.queue


class Day(BaseModel):
    """A statistic on one day, against the days before it."""

    day: date
    statistic: str
    value: float
    size: int = Field(description="decisions, or corrections, of that day")
    p: float | None = Field(description="chance of a value this far out on an ordinary day; null at first")
    alarm: bool


class Drift(BaseModel):
    """Newest first. One false alarm in ten years is to be expected of each statistic."""

    items: list[Day]
    next_cursor: str | None = None


class Seen(BaseModel):
    """What drift is computed from: one decision of the active version, and what a person made of it."""

    model_config = ConfigDict(frozen=True)

    day: date
    version_id: UUID
    best: str
    probability: float
    projection: list[float]
    corrected: str | None
