"""Webhooks on the wire: endpoints, and what was sent to them."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.moments import Moment
from app.webhooks.event_types import unknown

DAY_S = 86_400
DeliveryStatus: TypeAlias = Literal["pending", "delivered", "dead"]


def _url(text: str) -> str:
    """Normalised: the host in ASCII, no fragment."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError("is not a URL") from error
    if url.scheme not in {"https", "http"} or not url.host:
        raise ValueError("has to be a https:// URL with a host")
    if url.userinfo:
        raise ValueError("must not hold a user or password: receivers know us by our signature")
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise ValueError("has no port from 1 to 65535")
    return str(url.copy_with(fragment=None))


def _types(given: list[str]) -> list[str]:
    if wrong := unknown(given):
        raise ValueError(
            f"nothing is published as {', '.join(wrong)}; GET /api/v1/admin/webhooks/event-types"
        )
    return sorted(set(given))


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        pattern=r"^[^\s\x00-\x1f]+$",
        description="https only, outside the local profile",
        examples=["https://hooks.example.com/eservice"],
    ),
    AfterValidator(_url),
]
EventTypes = Annotated[
    list[Annotated[str, Field(max_length=101)]],
    Field(
        min_length=1,
        max_length=100,
        description="`ticket.created`, `ticket.*` for all of a kind of thing, `*` for everything",
        examples=[["ticket.created", "ticket.status_changed"]],
    ),
    AfterValidator(_types),
]
Description = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EndpointDraft(Request):
    url: Url
    event_types: EventTypes
    description: Description = ""


class EndpointPatch(Request):
    """What is null stays."""

    url: Url | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = Field(None, description="true also forgets that it failed")


class SecretRotation(Request):
    overlap_s: int = Field(
        DAY_S, ge=0, le=7 * DAY_S, description="how long the secret until now signs as well"
    )


class ReplaySince(Request):
    since: Moment = Field(description="events from then on, as far as they are kept (three months)")
    delivered: bool = Field(False, description="also those that the endpoint took")


class Endpoint(BaseModel):
    """Where events go. Its secret is shown when it is made and when it is rotated, nowhere else."""

    id: UUID
    url: str
    event_types: list[str]
    description: str
    enabled: bool
    off_because: str | None = Field(description="why it was switched off, where nobody did it by hand")
    failures: int = Field(description="attempts in a row that failed")
    failing_since: datetime | None
    former_secret_until: datetime | None = Field(description="until then the secret before signs as well")
    pending: int = Field(description="deliveries that wait for an attempt")
    created_at: datetime
    updated_at: datetime


class EndpointMade(Endpoint):
    secret: str = Field(description="for the receiver, to verify signatures with; no other answer shows it")


class Endpoints(BaseModel):
    items: list[Endpoint]
    next_cursor: str | None = None


class SecretMade(BaseModel):
    secret: str
    former_secret_until: datetime | None


class KnownEventTypes(BaseModel):
    items: list[str]
    next_cursor: None = None


class Delivery(BaseModel):
    """One event on its way to one endpoint; `event_id` is the receiver's `webhook-id`."""

    event_id: UUID
    event_type: str
    status: DeliveryStatus
    attempts: int = Field(description="of the running schedule; a replay begins a new one")
    next_attempt_at: datetime | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


class Deliveries(BaseModel):
    items: list[Delivery]
    next_cursor: str | None = None


class Attempt(BaseModel):
    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None = Field(description="null where the receiver took it")
    response: str = Field(description="how the receiver's answer begins")


class DeliveryWithAttempts(Delivery):
    tries: list[Attempt] = Field(description="the newest 20, newest first")


class Replayed(BaseModel):
    queued: int
    next_since: datetime | None = Field(
        description="where to go on: the queue is full, or there were more events than one request looks at"
    )
