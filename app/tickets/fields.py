"""What a queue wants to know of its tickets: fields with a kind, checked where a person writes `custom`.

Triage and clients may bring other keys, and values from before a field was declared; they stay as they are. A
required field has to be there when an agent resolves a ticket, not sooner: customers do not know queues.
"""

from datetime import date
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue, model_validator

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, Invalid
from app.events import service as events
from app.tickets import linked_repository
from app.tickets.schemas import Request, Tag

FieldKind: TypeAlias = Literal["text", "number", "boolean", "date", "choice"]


class QueueField(Request):
    name: Tag
    kind: FieldKind
    required: bool = Field(False, description="to resolve a ticket")
    choices: tuple[Tag, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _has_choices(self) -> Self:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("choices: a `choice` needs some, the others take none")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("choices: each stands there once")
        return self

    def fits(self, value: JsonValue) -> bool:
        match self.kind:
            case "text":
                return isinstance(value, str)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "boolean":
                return isinstance(value, bool)
            case "choice":
                return value in self.choices
            case "date":
                return isinstance(value, str) and _is_date(value)


class QueueFields(Request):
    fields: Annotated[list[QueueField], Field(max_length=50)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError("fields: each name stands there once")
        return self


class Problem(BaseModel):
    field: str
    message: str


class CustomInvalid(Invalid):
    """A custom field does not fit what the ticket's queue wants of it; `errors` says which."""


class FieldsMissing(Invalid):
    """The ticket's queue wants more custom fields before it is resolved; `errors` says which."""


async def of_queue(conn: Connection, queue: str) -> list[QueueField]:
    return [QueueField.model_validate(row) for row in await linked_repository.queue_fields(conn, queue)]


async def replace(conn: Connection, who: Identity, queue_id: UUID, wish: QueueFields, by: str) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise Forbidden
    await linked_repository.replace_queue_fields(conn, queue_id, [f.model_dump() for f in wish.fields])
    await events.publish(conn, "queue", queue_id, "fields_written", by, {})


async def check(conn: Connection, queue: str | None, custom: dict[str, JsonValue]) -> None:
    """Refuse values of declared fields that do not fit; null is no value."""
    declared = await of_queue(conn, queue) if queue else []
    wrong = [f for f in declared if custom.get(f.name) is not None and not f.fits(custom[f.name])]
    if wrong:
        raise CustomInvalid(errors=[_problem(field, f"must be a {field.kind}") for field in wrong])


async def check_complete(conn: Connection, queue: str | None, custom: dict[str, JsonValue]) -> None:
    """Refuse where a required field is missing."""
    declared = await of_queue(conn, queue) if queue else []
    missing = [f for f in declared if f.required and custom.get(f.name) in (None, "")]
    if missing:
        raise FieldsMissing(errors=[_problem(field, "is required to resolve it") for field in missing])


def _problem(field: QueueField, message: str) -> dict[str, str]:
    choices = f": one of {', '.join(field.choices)}" if field.choices else ""
    return {"field": f"custom.{field.name}", "message": message + choices}


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
