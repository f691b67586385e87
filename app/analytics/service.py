"""Figures of the desk, for those who lead it: counted from the ledger, as known now or at any time before."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import create_model

from app import db
from app.analytics import measures, repository, schemas
from app.analytics.measures import Measure
from app.analytics.schemas import AgentRow, Inquiry, Report, Row, Selection
from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, Invalid, NotFound
from app.ledger import service as ledger
from app.routing import service as routing
from app.state import State
from monitoring import metrics

MOST_ROWS = 10_000
MOST_DAYS = 400
MOST_MOMENTS = 92
"""Days at whose end the backlog is counted, each against every ticket."""

KEY_FIGURES = (
    *("opened", "deflection_rate", "resolution_rate", "reopen_rate", "hand_off_rate", "attainment", "csat"),
    *("cost_usd", "cost_per_verified_resolution"),
)
DAY = timedelta(hours=24)


class AnalyticsAreForLeads(Forbidden):
    """Only supervisors and administrators read the desk's figures."""


class UnknownTimeZone(Invalid):
    """There is no such time zone; give a name of the IANA database, such as Europe/Berlin."""


class PeriodBackwards(Invalid):
    """`from` has to be on or before `to`."""


class PeriodTooLong(Invalid):
    """A report covers at most 400 days, a backlog by day at most 92."""


class TooManyRows(Invalid):
    """This report has more than 10,000 rows; group by less, choose fewer days, or take it as CSV."""


class InquiryNotFound(NotFound):
    """The ledger knows no conversation or ticket of this id."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A report there is; `model` is its answer, `by` what it can be grouped by."""

    name: str
    about: str
    measures: tuple[Measure, ...]
    row: type[Row]
    model: type[Report]


def _kind(name: str, about: str, chosen: tuple[Measure, ...], row: type[Row]) -> Kind:
    model = create_model(row.__name__.removesuffix("Row"), __base__=Report, items=(list[row], ...))  # type: ignore[valid-type]
    return Kind(name, about, chosen, row, model)


OVERVIEW = _kind("overview", "Every figure of a period at once.", measures.OVERVIEW, schemas.OverviewRow)
KINDS = (
    OVERVIEW,
    _kind("rates", "Deflection, resolution, reopening, hand-off.", measures.RATES, schemas.RateRow),
    _kind("sla", "Promises kept and broken.", measures.SLA, schemas.SlaRow),
    _kind("times", "First replies and resolutions, percentiles.", measures.TIMES, schemas.TimesRow),
    _kind("csat", "Customers' ratings.", measures.CSAT, schemas.CsatRow),
    _kind("costs", "Tokens and cost of each verified resolution.", measures.COSTS, schemas.CostRow),
)
BACKLOG = _kind(
    "backlog",
    "Open tickets by age, at the end of `to`; by `day`, at the end of each day.",
    measures.BACKLOG,
    schemas.BacklogRow,
)
SPEND = _kind(
    "spend",
    "Tokens and cost of all answers, also of those under /v1, by the day they were made.",
    measures.SPEND,
    schemas.SpendRow,
)
AGENTS = Kind(
    "agents",
    "What each agent has on their desk now, and did in the period.",
    (),
    AgentRow,
    create_model("AgentLoad", __base__=Report, items=(list[AgentRow], ...)),
)


def may_read(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise AnalyticsAreForLeads


async def chosen(conn: Connection, who: Identity, wish: Selection) -> Selection:
    """The selection, once it is known to make sense."""
    may_read(who)
    if wish.first > wish.last:
        raise PeriodBackwards
    if (wish.last - wish.first).days >= MOST_DAYS:
        raise PeriodTooLong
    if not await repository.knows_zone(conn, wish.tz):
        raise UnknownTimeZone(param="tz")
    return wish


async def report(conn: Connection, who: Identity, kind: Kind, wish: Selection) -> Report:
    wish = await chosen(conn, who, wish)
    refreshed_at = await repository.refreshed(conn, wish.known_at)
    rows = await repository.rows(conn, _query(kind, wish, refreshed_at), MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise TooManyRows
    about = {measure.name: measure.about for measure in kind.measures}
    return _report(kind, wish, refreshed_at, about, [dict(row) for row in rows])


async def export(state: State, who: Identity, kind: Kind, wish: Selection) -> AsyncIterator[Sequence[object]]:
    """The rows of a report, as many as there are."""
    async with db.transaction(state.pool) as conn:
        wish = await chosen(conn, who, wish)
        refreshed_at = await repository.refreshed(conn, wish.known_at)
        async for row in repository.each(conn, _query(kind, wish, refreshed_at)):
            yield tuple(row.values())


async def agents(conn: Connection, who: Identity, wish: Selection) -> Report:
    wish = await chosen(conn, who, wish)
    refreshed_at = await repository.refreshed(conn, wish.known_at)
    did: dict[UUID, Any] = {row["agent_id"]: row for row in await repository.agents(conn, wish)}
    rows = [
        {
            **agent.model_dump(include={"name", "present", "capacity", "open"}),
            "agent_id": agent.id,
            "load": agent.open / agent.capacity if agent.capacity else None,
            **_deeds(did.get(agent.id)),
        }
        for agent in await routing.agents(conn)
    ]
    about = {name: field.description or "" for name, field in AgentRow.model_fields.items()}
    return _report(AGENTS, wish, refreshed_at, about, rows)


async def agent_rows(report: Report) -> AsyncIterator[Sequence[object]]:
    for row in report.model_dump()["items"]:
        yield tuple(row.values())


def _deeds(row: Any) -> dict[str, float | None]:
    counts = ("first_replies", "resolved", "returned")
    found = {name: row[name] if row else 0 for name in counts}
    return {**found, "reopen_rate": found["returned"] / found["resolved"] if found["resolved"] else None}


async def inquiry(conn: Connection, who: Identity, inquiry_id: UUID) -> Inquiry:
    """Why an inquiry counts as it does."""
    may_read(who)
    entries = await ledger.entries(conn, inquiry_id)
    if not entries:
        raise InquiryNotFound
    return Inquiry(items=entries)


async def refresh(conn: Connection) -> None:
    """Make the views anew, unless that is being done right now, and keep the last day's key figures."""
    at = await repository.take_refresh(conn)
    if at is None:
        return
    await repository.refresh(conn)
    wish = Selection(first=at.date(), last=at.date())
    sql, arguments = repository.facts_query(measures.OVERVIEW, wish)
    [row] = await repository.rows(conn, (sql, [at - DAY, at, *arguments[2:]]), 1)
    [left] = await repository.rows(conn, _backlog(wish, [(at, at)], at), 1)
    figures = {name: row[name] for name in KEY_FIGURES}
    await repository.keep_figures(conn, at, {**figures, "backlog": left["open"]})


async def key_figures(conn: Connection) -> dict[str, float | None]:
    """Of the 24 hours before the last refresh; null where there was nothing to divide by."""
    return await repository.figures(conn)


async def gauge(conn: Connection) -> None:
    """Set the gauges of the desk as they were at the last refresh."""
    for name, value in (await key_figures(conn)).items():
        if value is not None:
            metrics.DESK_FIGURE.set(value, figure=name)


def _query(kind: Kind, wish: Selection, refreshed_at: datetime) -> tuple[str, list[Any]]:
    if kind is SPEND:
        return repository.spend_query(kind.measures, wish)
    if kind is BACKLOG:
        return _backlog(wish, _spans(wish), refreshed_at)
    return repository.facts_query(kind.measures, wish)


def _backlog(
    wish: Selection, spans: Sequence[tuple[datetime, datetime]], now: datetime
) -> tuple[str, list[Any]]:
    return repository.backlog_query(measures.BACKLOG, wish, spans, now)


def _spans(wish: Selection) -> list[tuple[datetime, datetime]]:
    """From when to when each day lasts; the last day alone where days are not told apart."""
    days = [wish.first + timedelta(days=n) for n in range((wish.last - wish.first).days + 1)]
    if "day" not in wish.by:
        days = days[-1:]
    if len(days) > MOST_MOMENTS:
        raise PeriodTooLong
    return [(wish.midnight(day), wish.midnight(day + timedelta(days=1))) for day in days]


def _report(
    kind: Kind, wish: Selection, refreshed_at: datetime, about: dict[str, str], rows: list[dict[str, Any]]
) -> Report:
    shared = wish.model_dump(include={"first", "last", "tz", "by", "known_at"})
    return kind.model(
        **shared,
        refreshed_at=refreshed_at.astimezone(UTC),
        definitions=about,
        items=[kind.row.model_validate(row) for row in rows],
    )
