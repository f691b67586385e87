"""One promise to a customer and the business time spent on it. Pure: every function is told what time it is.

A clock runs (`active`), stands (`paused`), or has ended: `met` in time, `breached` otherwise. It is due at
the first instant at which its target is spent; whoever answers at that very instant is late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from app.sla.hours import Hours, TooFar, after, worked

Kind: TypeAlias = Literal["first_response", "next_response", "resolution"]
State: TypeAlias = Literal["active", "paused", "met", "breached"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BREACH = 100
MARKS = (50, 75, 90, BREACH)
"""Per cent of the target at which a clock says something, once each; at the last one it is breached."""


@dataclass(frozen=True, slots=True)
class Clock:
    """`spent` is counted up to `since`; null while the clock stands. `warned` is the last mark said."""

    kind: Kind
    target: timedelta
    started_at: datetime
    since: datetime | None
    spent: timedelta = timedelta()
    warned: int = 0
    ended_at: datetime | None = None

    @property
    def state(self) -> State:
        if self.warned >= BREACH:
            return "breached"
        if self.ended_at is not None:
            return "met"
        return "paused" if self.since is None else "active"


Clocks: TypeAlias = Mapping[Kind, Clock]


@dataclass(frozen=True, slots=True)
class Mark:
    """A clock has spent that much of its target."""

    kind: Kind
    percent: int


def started(kind: Kind, target: timedelta, at: datetime) -> Clock:
    return Clock(kind, target, started_at=at, since=at)


def advance(clock: Clock, hours: Hours, now: datetime) -> tuple[Clock, tuple[Mark, ...]]:
    """The clock as of `now`, and the marks that it passed since it was last looked at."""
    if clock.since is not None and now > clock.since:
        clock = replace(clock, spent=clock.spent + worked(hours, clock.since, now), since=now)
    if clock.ended_at is not None:
        return clock, ()
    passed = tuple(mark for mark in MARKS if mark > clock.warned and _amount(clock, mark) <= clock.spent)
    marks = tuple(Mark(clock.kind, percent) for percent in passed)
    return replace(clock, warned=max(passed, default=clock.warned)), marks


def pause(clock: Clock) -> Clock:
    return replace(clock, since=None)


def run(clock: Clock, now: datetime) -> Clock:
    """Let it run on, from where it stood."""
    return replace(clock, since=clock.since or now, ended_at=None)


def end(clock: Clock, now: datetime) -> Clock:
    return clock if clock.ended_at else replace(clock, since=None, ended_at=now)


def due_at(clock: Clock, hours: Hours) -> datetime | None:
    """When it will be breached if nothing happens; null while it stands, has ended, or that is years away."""
    return _reaches(clock, hours, BREACH)


def next_at(clock: Clock, hours: Hours) -> datetime | None:
    """When it next has something to say; null where it never will by itself."""
    following = next((mark for mark in MARKS if mark > clock.warned), None)
    return _reaches(clock, hours, following) if following else None


def _reaches(clock: Clock, hours: Hours, mark: int) -> datetime | None:
    if clock.since is None:
        return None
    try:
        return after(hours, clock.since, max(_amount(clock, mark) - clock.spent, timedelta()))
    except TooFar:
        return None


def _amount(clock: Clock, mark: int) -> timedelta:
    return clock.target * mark / BREACH
