"""Queues, agents and previews on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.sla.schemas import Prospect
from app.tickets.schemas import STORABLE, Body, Priority, QueueName, Request, Subject, Tags


class Queue(BaseModel):
    id: UUID
    name: str
    description: str
    waiting: int = Field(description="tickets that nobody has yet")
    takes_unknown: bool = Field(False, description="whether tickets that triage has no queue for go here")


class Queues(BaseModel):
    items: list[Queue]
    next_cursor: str | None = None


class Agent(BaseModel):
    id: UUID
    name: str
    present: bool
    capacity: int
    open: int = Field(description="tickets that are not resolved or closed")
    languages: list[str]
    queues: list[str]
    skills: dict[str, int] = Field(description="level from 1 to 5")
    last_assigned_at: datetime | None


class Agents(BaseModel):
    items: list[Agent]
    next_cursor: str | None = None


class Skill(BaseModel):
    name: str
    agents: int


class Skills(BaseModel):
    items: list[Skill]
    next_cursor: str | None = None


class PreviewRequest(Request):
    subject: Subject
    body: Body
    tags: Tags = Field(default_factory=list)


class Probable(BaseModel):
    name: str
    probability: float


class TriageOut(BaseModel):
    intent: Probable | None
    queue: Probable | None
    priority: Priority
    language: Probable
    sentiment: str
    priority_probability: float = Field(0.0, description="that a person would say the same")
    sentiment_probability: float = Field(0.0, description="that a person would say the same")
    reasons: list[str]
    candidates: list[Probable]
    familiarity: float = Field(0.0, description="that the text is like any that was learnt")
    version: str
    source: Literal["model", "llm"] = Field("model", description="who said intent and queue")


class Score(BaseModel):
    """Why an agent stands where they stand."""

    agent_id: UUID
    name: str
    score: float
    parts: dict[str, float] = Field(description="each in [0, 1]")
    weights: dict[str, float]
    open: int
    capacity: int
    obstacle: str | None = Field(description="why this agent cannot have it now")


class Preview(BaseModel):
    """What would happen to this ticket now. Nothing was changed."""

    triage: TriageOut
    agents: list[Score] = Field(description="best first")
    assignee: Score | None
    rule: str | None = Field(description="the rule that had the last word over triage")
    promise: Prospect | None = Field(description="to a customer without a tier; null where no policy fits")


Language = Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]
SkillName = Annotated[str, StringConstraints(min_length=1, max_length=100), STORABLE]


class AgentPatch(Request):
    """What to change; a field left out stays."""

    present: bool | None = Field(None, description="whether they take tickets now")
    capacity: Annotated[int, Field(ge=0, le=1000)] | None = None
    languages: Annotated[list[Language], Field(min_length=1, max_length=20)] | None = None
    skills: Annotated[dict[SkillName, Annotated[int, Field(ge=1, le=5)]], Field(max_length=100)] | None = None
    queues: Annotated[list[QueueName], Field(max_length=100)] | None = Field(None, description="their names")


class QueueSeed(Request):
    name: QueueName
    description: Annotated[str, StringConstraints(max_length=2000), STORABLE] = ""
    takes_unknown: bool = Field(
        False, description="tickets that triage has no queue for go here, and no longer to another queue"
    )


class AgentSeed(Request):
    email: str
    name: str
    languages: list[str] = Field(default_factory=lambda: ["en"])
    skills: dict[str, Annotated[int, Field(ge=1, le=5)]] = Field(default_factory=dict)
    queues: list[str]
    capacity: Annotated[int, Field(ge=0, le=1000)] = 8


class Staffing(BaseModel):
    """A file of queues and agents; its other keys are for people."""

    queues: list[QueueSeed]
    agents: list[AgentSeed]
