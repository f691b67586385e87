"""Solved cases on the wire, and in the job that indexes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field

from app.knowledge.schemas import SearchResult

Via: TypeAlias = Literal["citation", "agent", "suggestion", "import"]


class CaseJob(BaseModel):
    case_id: UUID


class LinkDraft(BaseModel):
    article_id: UUID
    via: Literal["agent", "suggestion"] = Field(
        "agent", description="`suggestion` where a suggested article was taken"
    )


class Link(BaseModel):
    article_id: UUID
    title: str
    via: Via
    created_at: datetime
    revoked_at: datetime | None


class Case(BaseModel):
    """A question and what solved it. It counts once it is confirmed, and as long as a link stands."""

    id: UUID
    question: str = Field(description="personal data masked")
    ticket_id: UUID | None
    message_id: UUID | None
    confirmed_at: datetime | None
    created_at: datetime
    articles: list[Link]


class Cases(BaseModel):
    items: list[Case]
    next_cursor: UUID | None = None


class SimilarCase(BaseModel):
    case_id: UUID
    question: str = Field(description="personal data masked")
    similarity: float = Field(description="cosine of the two questions")
    ticket_id: UUID | None
    solved_at: datetime
    articles: list[Link]


class Suggestion(SearchResult):
    linked: bool = Field(description="whether this article is linked to the ticket already")


class Suggestions(BaseModel):
    """What may solve a ticket: articles, and cases like it that were solved before."""

    articles: list[Suggestion]
    cases: list[SimilarCase]
    degraded: list[str] = Field(description="what was down, as in a search")


@dataclass(frozen=True, slots=True)
class Subject:
    """What the vector store has to know of a case; `counts` where it is confirmed and a link stands."""

    id: UUID
    question: str
    audiences: tuple[str, ...]
    counts: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """A case from elsewhere: its id there, its question, and the ids of the articles that solved it."""

    key: str
    question: str
    articles: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A case that counts, `public` where for everybody: a question whose right articles are known."""

    id: UUID
    question: str
    articles: tuple[UUID, ...]
    public: bool
