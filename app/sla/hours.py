"""Business hours: how much of a span of time counts, and when an amount of it is used up. No I/O, no clock.

A calendar is open at an instant when that instant's local time of day stands in its weekday's spans and its
local date is no holiday. That is also what decides around a change to or from summer time: an hour that the
local clock shows twice counts twice, one that it leaves out does not count.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias
from zoneinfo import ZoneInfo

import holidays
import holidays.countries  # 0.5 s of modules: when the process starts, not in the first request

DAY = timedelta(days=1)
HORIZON = timedelta(days=732)
"""How far ahead is looked; what lies beyond two years is no promise."""

Minutes: TypeAlias = tuple[int, int]
"""From and until, in minutes of the local day; a day ends at 1440."""

Opening: TypeAlias = tuple[datetime, datetime]


class TooFar(ValueError):
    """The calendar does not have that much business time within the horizon."""


@dataclass(frozen=True, slots=True)
class Hours:
    """`week` has the spans of Monday to Sunday, each day's in order and apart."""

    zone: ZoneInfo
    week: tuple[tuple[Minutes, ...], ...]
    country: str | None = None
    subdivision: str | None = None
    closed: frozenset[date] = field(default=frozenset())

    def spans(self, day: date) -> tuple[Minutes, ...]:
        shut = day in self.closed or day in _holidays(self.country, self.subdivision, day.year)
        return () if shut else self.week[day.weekday()]


def worked(hours: Hours, start: datetime, end: datetime) -> timedelta:
    """The business time between two instants."""
    total = timedelta()
    for opens, closes in _openings(hours, start):
        if opens >= end:
            break
        total += min(closes, end) - max(opens, start)
    return total


def after(hours: Hours, start: datetime, amount: timedelta) -> datetime:
    """The first instant at which `amount` of business time has passed since `start`."""
    left = amount
    for opens, closes in _openings(hours, start):
        opens = max(opens, start)
        if opens - start > HORIZON:
            break
        if closes - opens >= left:
            return opens + left if left else start
        left -= closes - opens
    raise TooFar(f"{amount} of business time from {start} on lie beyond {HORIZON.days} days")


def _openings(hours: Hours, start: datetime) -> Iterator[Opening]:
    """What is open after `start`, in order; ends where nothing is for longer than `HORIZON`."""
    day, idle = start.astimezone(hours.zone).date() - DAY, 0
    while idle <= HORIZON.days + 1:
        today = _opening(hours, day)
        yield from ((opens, closes) for opens, closes in today if closes > start)
        day, idle = day + DAY, 0 if today else idle + 1


@lru_cache(maxsize=4096)
def _opening(hours: Hours, day: date) -> tuple[Opening, ...]:
    """One local day's spans as instants."""
    spans = hours.spans(day)
    if not spans:
        return ()
    midnight = datetime.combine(day, time())
    found = [
        (max(opens, since), min(closes, until))
        for since, until, offset in _offsets(hours.zone, day)
        for opens, closes in (_instants(midnight, span, offset) for span in spans)
    ]
    return tuple(sorted((opens, closes) for opens, closes in found if opens < closes))


def _instants(midnight: datetime, span: Minutes, offset: timedelta) -> Opening:
    opens, closes = (midnight + timedelta(minutes=minute) - offset for minute in span)
    return opens.replace(tzinfo=UTC), closes.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """From when until when which offset from UTC holds, over a local day and some time around it."""
    first = datetime.combine(day, time(), UTC) - DAY
    marks = [first + timedelta(hours=hour) for hour in range(0, 73, 3)]
    changes = [_change(zone, a, b) for a, b in pairwise(marks) if _offset(zone, a) != _offset(zone, b)]
    edges = [marks[0], *changes, marks[-1]]
    return tuple((a, b, _offset(zone, a)) for a, b in pairwise(edges))


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second with the offset of `high`."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta()


@lru_cache(maxsize=256)
def _holidays(country: str | None, subdivision: str | None, year: int) -> Mapping[date, str]:
    if country is None:
        return {}
    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year))
