"""Calendars and policies on the wire, and as the rules of clocks need them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from app.sla.clock import Kind
from app.sla.hours import Hours, Minutes
from app.sla.rules import Facts, Targets
from app.tickets.schemas import STORABLE, Priority, QueueName, Request

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TimeOfDay: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
Name: TypeAlias = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), STORABLE
]
BusinessMinutes: TypeAlias = Annotated[int, Field(ge=1, le=525_600)]


def _known_zone(name: str) -> str:
    """Not by `available_timezones`, which reads some 600 files every time."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValueError("is not an IANA time zone, as `Europe/Berlin` is one") from error
    return name


class Span(Request):
    opens: TimeOfDay
    closes: TimeOfDay = Field(description="later than `opens`; the day ends at 24:00")

    @property
    def minutes(self) -> Minutes:
        return _minutes(self.opens), _minutes(self.closes)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


@lru_cache(maxsize=256)
def _has_holidays(country: str, subdivision: str | None) -> bool:
    try:
        holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError:
        return False
    return True


class CalendarDraft(Request):
    name: Name
    zone: Annotated[str, AfterValidator(_known_zone)] = Field(max_length=100, description="IANA time zone")
    week: dict[Weekday, Annotated[list[Span], Field(max_length=10)]] = Field(
        description="business hours; a day left out is closed"
    )
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] | None = Field(
        None, description="ISO 3166 code, whose public holidays are closed"
    )
    subdivision: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]{1,10}$")] | None = None
    closed: Annotated[list[date], Field(max_length=1000)] = Field([], description="other days off")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not any(self.week.values()):
            raise ValueError("week: needs at least one span of business hours")
        for day, spans in self.week.items():
            edges = [minute for span in spans for minute in span.minutes]
            if edges != sorted(set(edges)):
                raise ValueError(f"week: the spans of {day} must be in order, apart, and end after they open")
        if self.subdivision and not self.country:
            raise ValueError("subdivision: needs a country")
        if self.country and not _has_holidays(self.country, self.subdivision):
            raise ValueError("country: no public holidays of it, or of this subdivision, are known")
        return self

    def hours(self) -> Hours:
        week = tuple(tuple(span.minutes for span in self.week.get(day, [])) for day in WEEKDAYS)
        return Hours(ZoneInfo(self.zone), week, self.country, self.subdivision, frozenset(self.closed))


class Calendar(CalendarDraft):
    id: UUID


class Calendars(BaseModel):
    items: list[Calendar]
    next_cursor: str | None = None


class Escalation(Request):
    """What to do when a clock that is still open has spent so much of its target."""

    at: Literal[50, 75, 90, 100] = Field(description="per cent of the target; 100 is the breach")
    clock: Kind | None = Field(None, description="null means any")
    action: Literal["raise_priority", "notify_queue", "reassign"]
    queue: QueueName | None = Field(None, description="whom to notify, or who gets the ticket")

    @model_validator(mode="after")
    def _names_a_queue(self) -> Self:
        if (self.queue is None) != (self.action == "raise_priority"):
            raise ValueError("queue: `notify_queue` and `reassign` need one, `raise_priority` takes none")
        return self


class PolicyDraft(Request):
    """Promises in business minutes. A condition that is null fits every ticket."""

    name: Name
    calendar: Name = Field(description="a calendar's name")
    priority: Priority | None = None
    queue: QueueName | None = None
    tier: Name | None = Field(None, description="the customer's")
    first_response_min: BusinessMinutes | None = None
    next_response_min: BusinessMinutes | None = None
    resolution_min: BusinessMinutes | None = None
    escalations: Annotated[list[Escalation], Field(max_length=20, default_factory=list)]

    @model_validator(mode="after")
    def _promises_something(self) -> Self:
        if not self.targets():
            raise ValueError("needs at least one of first_response_min, next_response_min, resolution_min")
        return self

    def targets(self) -> Targets:
        minutes: dict[Kind, int | None] = {
            "first_response": self.first_response_min,
            "next_response": self.next_response_min,
            "resolution": self.resolution_min,
        }
        return {kind: timedelta(minutes=n) for kind, n in minutes.items() if n is not None}


class Policy(PolicyDraft):
    id: UUID


class Policies(BaseModel):
    items: list[Policy]
    next_cursor: str | None = None


class Tier(Request):
    tier: Name | None = Field(description="null takes it away")


class ReachJob(BaseModel):
    """Payload of `sla_reach`: whose promises changed; null means everybody's."""

    customer_id: UUID | None = None


class Prospect(BaseModel):
    """What would be promised for a ticket made now."""

    policy: str
    due_at: dict[Kind, datetime | None] = Field(description="null: more than two years away")
    left_min: int = Field(description="business minutes until the first of them is broken")


class Promises(Request):
    """A file of calendars and policies."""

    calendars: list[CalendarDraft]
    policies: list[PolicyDraft]


@dataclass(frozen=True, slots=True)
class Situation:
    """A ticket as its clocks see it, and the policy that fits it best with its calendar, at `now`."""

    facts: Facts
    now: datetime
    policy: Policy | None
    calendar: Calendar | None
