"""Webhooks as PostgreSQL keeps them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.webhooks.schemas import DeliveryStatus


class Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class StoredEndpoint(Row):
    """`url` and the secrets are sealed."""

    id: UUID
    url: bytes
    event_types: list[str]
    description: str
    secret: bytes
    former_secret: bytes | None
    former_secret_until: datetime | None
    since_position: int
    enabled: bool
    off_because: str | None
    failures: int
    failing_since: datetime | None
    resting_until: datetime | None
    created_at: datetime
    updated_at: datetime


class StoredDelivery(Row):
    endpoint_id: UUID
    event_id: UUID
    event_at: datetime
    event_type: str
    status: DeliveryStatus
    attempts: int
    due_at: datetime
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


class StoredAttempt(Row):
    """`response` is sealed."""

    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    response: bytes


class Standing(Row):
    """How an endpoint fares, without what is sealed of it."""

    id: UUID
    description: str
    event_types: list[str]
    enabled: bool
    off_because: str | None
    failing_since: datetime | None
    pending: int
    dead: int
