"""Every error the application answers with, and the one place that renders them (RFC 9457).

A class's docstring is its message; its base class is its status.
"""

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """Something went wrong on our side."""

    status = 500
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().partition("\n")[0]
        self.extra = extra
        super().__init__(self.detail)

    @property
    def kind(self) -> str:
        """The error's name on the wire: `TicketNotFound` is `ticket-not-found`."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


class Invalid(ServiceError):
    """The request does not fit what this endpoint takes."""

    status = 422


class Unauthorised(ServiceError):
    """A valid access token is needed: send `Authorization: Bearer <token>`."""

    status = 401
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class AccountGone(Unauthorised):
    """This account was deleted or disabled."""


class Forbidden(ServiceError):
    """Your role may not do this."""

    status = 403


class NotFound(ServiceError):
    """There is no such thing, or it is not yours."""

    status = 404


class Conflict(ServiceError):
    """The thing is not in a state that allows this."""

    status = 409


class PreconditionFailed(ServiceError):
    """It was changed since you read it; read it again and repeat your change."""

    status = 412


class PreconditionRequired(ServiceError):
    """Say which version you change: send `If-Match` with the ETag you read."""

    status = 428


class TooLarge(ServiceError):
    """The request body is too large."""

    status = 413


class TooSlow(ServiceError):
    """The request body took too long to arrive."""

    status = 408


class TooManyRequests(ServiceError):
    """You have sent too many requests; wait and try again."""

    status = 429


class Unavailable(ServiceError):
    """A part this needs is down; try again soon."""

    status = 503
    headers: Mapping[str, str] = {"Retry-After": "2"}


class Overloaded(Unavailable):
    """More requests are under way than this replica takes; try again soon."""

    headers: Mapping[str, str] = {"Retry-After": "1"}


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def documented(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """What `responses=` of an endpoint takes; errors of the same status share an entry."""
    entries: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        text = (error.__doc__ or "").strip().partition("\n")[0]
        before = f"{entries[error.status]['description']} " if error.status in entries else ""
        entries[error.status] = {
            "description": before + text,
            "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}},
        }
    return entries
