"""Domain events: what happened to what, in an order that everybody reads alike."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class DomainEvent(BaseModel):
    """`position` grows without gaps; of one aggregate it follows the order of its changes."""

    model_config = ConfigDict(frozen=True)

    id: UUID = Field(description="the same at every delivery: receivers drop what they had")
    position: int
    aggregate: str = Field(description="what kind of thing it happened to: `ticket`, `conversation`, ...")
    aggregate_id: UUID
    kind: str
    actor: str = Field(description="`user:` and an id, or `system:` and the part that acted")
    data: dict[str, JsonValue] = Field(description="never what people wrote: read that from the thing itself")
    occurred_at: datetime
