"""Reports on the wire: what may be asked, and rows whose fields are the measures."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.analytics import measures
from app.analytics.measures import Measure
from app.ledger.schemas import Entry

Period: TypeAlias = Literal["day", "week", "month"]
Label: TypeAlias = Literal["queue", "intent", "language"]
By: TypeAlias = Period | Label
SpendBy: TypeAlias = Period | Literal["source", "model", "provider"]
PERIODS: tuple[Period, ...] = get_args(Period)


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


class Row(BaseModel):
    """What a row is about; only what the request groups by is there."""

    model_config = ConfigDict(extra="forbid")


class Labelled(Row):
    day: date | None = Field(None, description="the day, or the first of the week or month, in `tz`")
    week: date | None = None
    month: date | None = None
    queue: str | None = Field(None, description="null: in no queue")
    intent: str | None = Field(None, description="null: not known")
    language: str | None = Field(None, description="ISO 639-1; null: not known")


class Spent(Row):
    day: date | None = None
    week: date | None = None
    month: date | None = None
    source: Literal["assistant", "direct"] | None = Field(None, description="direct: taken under /v1")
    model: str | None = None
    provider: str | None = None


def _row(name: str, base: type[Row], chosen: tuple[Measure, ...]) -> type[Row]:
    fields: dict[str, Any] = {
        measure.name: (int if measure.whole else float | None, Field(description=measure.about))
        for measure in chosen
    }
    return create_model(name, __base__=base, **fields)


RateRow = _row("RateRow", Labelled, measures.RATES)
SlaRow = _row("SlaRow", Labelled, measures.SLA)
TimesRow = _row("TimesRow", Labelled, measures.TIMES)
CsatRow = _row("CsatRow", Labelled, measures.CSAT)
CostRow = _row("CostRow", Labelled, measures.COSTS)
OverviewRow = _row("OverviewRow", Labelled, measures.OVERVIEW)
BacklogRow = _row("BacklogRow", Labelled, measures.BACKLOG)
SpendRow = _row("SpendRow", Spent, measures.SPEND)


class AgentRow(Row):
    """`open`, `present` and `capacity` are of this moment, the rest of the period."""

    agent_id: UUID
    name: str
    present: bool
    capacity: int
    open: int = Field(description="tickets they have that are not ended")
    load: float | None = Field(description="Numerator: open; denominator: capacity")
    first_replies: int = Field(description="tickets that they were the first to reply to")
    resolved: int = Field(description="resolutions, also those that somebody came back after")
    returned: int = Field(description="of `resolved`, those revoked by a return since")
    reopen_rate: float | None = Field(description="Numerator: returned; denominator: resolved")


class Selection(BaseModel):
    """Which facts count: those of these days, in this time zone, and as they were known then."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date
    tz: str = "UTC"
    by: tuple[str, ...] = ()
    queue: str | None = None
    intent: str | None = None
    language: str | None = None
    known_at: datetime | None = None

    @property
    def start(self) -> datetime:
        return self.midnight(self.first)

    @property
    def end(self) -> datetime:
        """The first moment that does not count."""
        return self.midnight(self.last + timedelta(days=1))

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.tz)).astimezone(UTC)


class Report(BaseModel):
    """`from` and `to` are whole days in `tz`, both included."""

    model_config = ConfigDict(populate_by_name=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    tz: str
    by: list[str]
    known_at: datetime | None = Field(
        description="as it was known then; null: as it is known now, when the views were last refreshed"
    )
    refreshed_at: datetime = Field(description="up to when changes are counted in")
    definitions: dict[str, str] = Field(description="what each figure of a row means")
    next_cursor: None = None


class Inquiry(BaseModel):
    """All that the ledger knows of one inquiry, oldest first."""

    items: list[Entry]
    next_cursor: None = None
