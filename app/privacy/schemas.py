"""Erasures on the wire, and in the job that carries one out."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class OwnErasure(BaseModel):
    """Said by the person themselves, and not by accident."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254, description="your own e-mail address, as a confirmation")


class Erasure(BaseModel):
    """The receipt: it names nobody but by an id that leads nowhere any more."""

    id: UUID
    person_id: UUID
    asked_by: UUID
    asked_at: datetime
    done_at: datetime | None = Field(description="null while the data is being removed; seconds, as a rule")
    removed: dict[str, int] = Field(description="how much of each kind cannot be read any more, or is gone")


class Erasures(BaseModel):
    items: list[Erasure]
    next_cursor: str | None = None


class ErasureJob(BaseModel):
    """Payload of `erase_person`."""

    erasure_id: UUID
