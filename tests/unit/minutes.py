"""Slow and obvious: business time counted minute by minute. What the fast arithmetic is held against."""

from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays
from hypothesis import strategies as st

from app.sla.hours import Hours

MINUTE = timedelta(minutes=1)

ZONES: tuple[tuple[str, tuple[date, ...]], ...] = (
    ("Europe/Berlin", (date(2026, 3, 29), date(2026, 10, 25), date(2026, 12, 24))),
    ("America/New_York", (date(2026, 3, 8), date(2026, 11, 1), date(2026, 7, 3))),
    ("Australia/Lord_Howe", (date(2026, 4, 5), date(2026, 10, 4))),  # half an hour of summer time
    ("Asia/Kathmandu", (date(2026, 1, 1),)),
    ("Pacific/Apia", (date(2011, 12, 30),)),  # a day that never was
)


def is_open(hours: Hours, instant: datetime) -> bool:
    """Whether the minute that starts then is business time."""
    local = instant.astimezone(hours.zone)
    if local.date() in hours.closed:
        return False
    if local.date() in _holidays(hours.country, local.year):
        return False
    minute = local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in hours.week[local.weekday()])


@cache
def _holidays(country: str | None, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year)) if country else frozenset()


def slow_worked(hours: Hours, start: datetime, end: datetime) -> timedelta:
    total = 0
    while start < end:
        total += is_open(hours, start)
        start += MINUTE
    return total * MINUTE


def slow_after(hours: Hours, start: datetime, minutes: int) -> datetime:
    while minutes:
        minutes -= is_open(hours, start)
        start += MINUTE
    return start


@st.composite
def hours_of_a_desk(draw: st.DrawFn) -> Hours:
    """Any week, open on Wednesdays at least, in a zone with a past; half-hour edges meet every change."""
    zone, _ = draw(st.sampled_from(ZONES))
    edges = st.lists(st.integers(0, 48), min_size=2, max_size=4, unique=True).map(sorted)
    span = edges.map(lambda e: tuple((a * 30, b * 30) for a, b in zip(e[::2], e[1::2], strict=False)))
    days = [draw(span | st.just(())) for _ in range(7)]
    days[2] = days[2] or ((540, 1020),)
    country = draw(st.sampled_from([None, "DE", "US"]))
    closed = draw(st.frozensets(st.sampled_from([day for _, days in ZONES for day in days])))
    return Hours(ZoneInfo(zone), tuple(days), country, closed=closed)
