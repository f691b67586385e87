"""Every SQL statement that counts facts. Names in them come from this code alone, values are parameters.

A report reads the materialised view, or where it asks what was known at a moment, the function that the view
is made of: the same rows, at the price of reading the whole ledger.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from app.analytics.measures import Measure
from app.analytics.schemas import Selection
from app.db import Connection

REPORT_S = 20.0
REFRESH_S = 240.0
"""Less than a job may take."""
PREFETCH = 500
REFRESH_LOCK = 0xA_17
"""Any number will do, as long as it is always this one."""

PERIODS = frozenset({"day", "week", "month"})
WHEN = "at >= $1 AND at < $2 AND $3::text IS NOT NULL"
WHAT = """
    ($4::text IS NULL OR queue = $4) AND ($5::text IS NULL OR intent = $5)
    AND ($6::text IS NULL OR language = $6) AND ($7::timestamptz IS NULL OR $7 IS NOT NULL)
"""


def facts(known_at: datetime | None) -> str:
    return "analytics_facts_as_known($7)" if known_at else "analytics_facts"


def facts_query(measures: Sequence[Measure], wish: Selection) -> tuple[str, list[Any]]:
    """A report over facts: one row for each group, or a single one."""
    sql = _grouped(measures, wish, f"{facts(wish.known_at)} WHERE {WHEN} AND {WHAT}")
    return sql, _arguments(wish)


def backlog_query(
    measures: Sequence[Measure], wish: Selection, moments: Sequence[tuple[datetime, datetime]], now: datetime
) -> tuple[str, list[Any]]:
    """What was open at the end of each span in `moments`, or at `now` where that end has not come."""
    source = f"""
        (SELECT begins, least(ends, $10) AS moment FROM unnest($8::timestamptz[], $9::timestamptz[])
                                                              AS span (begins, ends)
          WHERE begins <= $10) AS spans
        JOIN {facts(wish.known_at)} AS fact
          ON fact.kind = 'opened' AND fact.ticket_at <= moment
         AND (fact.ended_at IS NULL OR fact.ended_at > moment)
       WHERE $1::timestamptz IS NOT NULL AND $2::timestamptz IS NOT NULL AND $3::text IS NOT NULL AND {WHAT}
    """  # noqa: S608
    starts, ends = [start for start, _ in moments], [end for _, end in moments]
    arguments = [*_arguments(wish), starts, ends, now]
    return _grouped(measures, wish, source, moment="begins"), arguments


def spend_query(measures: Sequence[Measure], wish: Selection) -> tuple[str, list[Any]]:
    return _grouped(measures, wish, f"analytics_spend WHERE {WHEN}"), [wish.start, wish.end, wish.tz]


def _arguments(wish: Selection) -> list[Any]:
    return [wish.start, wish.end, wish.tz, wish.queue, wish.intent, wish.language, wish.known_at]


def _grouped(measures: Sequence[Measure], wish: Selection, source: str, *, moment: str = "at") -> str:
    """`moment` is the column whose day counts."""
    periods = {name: f"date_trunc('{name}', {moment} AT TIME ZONE $3)::date" for name in PERIODS}
    groups = [f"{periods.get(name, name)} AS {name}" for name in wish.by]
    columns = ", ".join([*groups, *(f"{measure.sql} AS {measure.name}" for measure in measures)])
    places = ", ".join(str(n) for n in range(1, len(groups) + 1))
    grouping = f"GROUP BY {places} ORDER BY {places}" if groups else ""
    return f"SELECT {columns} FROM {source} {grouping}"  # noqa: S608


async def rows(conn: Connection, query: tuple[str, list[Any]], limit: int) -> list["asyncpg.Record"]:
    sql, arguments = query
    return await conn.fetch(f"{sql} LIMIT {limit}", *arguments, timeout=REPORT_S)


async def each(conn: Connection, query: tuple[str, list[Any]]) -> AsyncIterator["asyncpg.Record"]:
    """Row by row, `PREFETCH` in memory at a time."""
    sql, arguments = query
    async for row in conn.cursor(sql, *arguments, prefetch=PREFETCH, timeout=REPORT_S):
        yield row


async def knows_zone(conn: Connection, name: str) -> bool:
    """PostgreSQL has time zones of its own, at times others than Python's."""
    try:
        async with conn.transaction():
            await conn.execute("SELECT timezone($1, now())", name)
    except asyncpg.InvalidParameterValueError:
        return False
    return True


async def agents(conn: Connection, wish: Selection) -> list["asyncpg.Record"]:
    """Of everybody who replied or resolved: how often."""
    return await conn.fetch(
        f"""
        SELECT agent_id, count(*) FILTER (WHERE kind = 'replied') AS first_replies,
               count(*) FILTER (WHERE kind = 'resolution') AS resolved,
               count(*) FILTER (WHERE kind = 'resolution' AND returned) AS returned
          FROM {facts(wish.known_at)} WHERE {WHEN} AND {WHAT} AND agent_id IS NOT NULL
           AND kind IN ('replied', 'resolution') GROUP BY agent_id
        """,  # noqa: S608
        *_arguments(wish),
        timeout=REPORT_S,
    )


async def refreshed(conn: Connection, known_at: datetime | None) -> datetime:
    """Up to when changes are counted in."""
    at: datetime = await conn.fetchval(
        """
        SELECT CASE WHEN $1::timestamptz IS NULL THEN refreshed_at ELSE least($1, clock_timestamp()) END
          FROM analytics_refreshes
        """,
        known_at,
    )
    return at


async def take_refresh(conn: Connection) -> datetime | None:
    """The moment from which on changes may be missing; `None` while somebody else refreshes."""
    at: datetime | None = await conn.fetchval(
        "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN clock_timestamp() END", REFRESH_LOCK
    )
    return at


async def refresh(conn: Connection) -> None:
    """Make the views anew; who reads goes on with the rows that were there."""
    for view in ("analytics_facts", "analytics_spend"):
        await conn.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}", timeout=REFRESH_S)


async def keep_figures(conn: Connection, at: datetime, figures: dict[str, float | None]) -> None:
    await conn.execute("UPDATE analytics_refreshes SET refreshed_at = $1, figures = $2", at, figures)


async def figures(conn: Connection) -> dict[str, float | None]:
    found: dict[str, float | None] = await conn.fetchval("SELECT figures FROM analytics_refreshes")
    return found
