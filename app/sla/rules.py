"""What a ticket's life does to its clocks: the whole of it, without I/O.

First and next response end with an agent's public reply, the resolution with the ticket. All of them stand
while the ticket is `pending` or `on_hold`, and a ticket that ends owes nothing more. A reopened ticket's
resolution runs on from what was spent before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from app.sla.clock import Clock, Clocks, Kind, Mark, advance, end, pause, run, started
from app.sla.hours import Hours
from app.tickets.followers import Happening
from app.tickets.states import ENDED, Status

Targets: TypeAlias = Mapping[Kind, timedelta]

RUNS_IN: frozenset[Status] = frozenset({"new", "open"})
BY_REPLY: tuple[Kind, ...] = ("first_response", "next_response")


@dataclass(frozen=True, slots=True)
class Facts:
    """A ticket as it stands after what happened; `answered` by an agent, in public."""

    status: Status
    created_at: datetime
    answered: bool


def follow(
    clocks: Clocks,
    facts: Facts,
    targets: Targets,
    hours: Hours,
    what: Happening,
    now: datetime,
    *,
    before: Hours | None = None,
) -> tuple[Clocks, tuple[Mark, ...]]:
    """The clocks after `what` happened, and the marks that were passed by then.

    `before` are the hours that counted up to now, where another calendar applies from now on.
    """
    current, passed = look(clocks, before or hours, now)
    current = _retarget(current, targets)
    current |= _missing(current, facts, targets, now)
    if what == "customer_message" and "next_response" in targets and not _owes_reply(current):
        current["next_response"] = started("next_response", targets["next_response"], now)
    current, more = look(current, hours, now)
    if what == "reply":
        current |= {kind: end(current[kind], now) for kind in BY_REPLY if kind in current}
    return {kind: _stand(clock, facts.status, now) for kind, clock in current.items()}, passed + more


def look(clocks: Clocks, hours: Hours, now: datetime) -> tuple[dict[Kind, Clock], tuple[Mark, ...]]:
    """Every clock as of `now`, and the marks they passed."""
    advanced = {kind: advance(clock, hours, now) for kind, clock in clocks.items()}
    marks = tuple(mark for _, passed in advanced.values() for mark in passed)
    return {kind: clock for kind, (clock, _) in advanced.items()}, marks


def left(clocks: Clocks, hours: Hours, now: datetime) -> timedelta | None:
    """The business time until the next breach; null where no clock runs towards one."""
    current, _ = look(clocks, hours, now)
    return min(
        (clock.target - clock.spent for clock in current.values() if clock.state == "active"), default=None
    )


def _retarget(clocks: Clocks, targets: Targets) -> dict[Kind, Clock]:
    """Another policy may apply by now: what was spent stays, what it does not promise goes."""
    return {
        kind: clock if clock.ended_at else replace(clock, target=targets[kind])
        for kind, clock in clocks.items()
        if clock.ended_at or kind in targets
    }


def _missing(clocks: Clocks, facts: Facts, targets: Targets, now: datetime) -> dict[Kind, Clock]:
    """Clocks that should stand and do not yet. Who waits for a `new` ticket has waited since it was made."""
    if facts.status in ENDED:
        return {}
    wanted: list[Kind] = ["resolution"] if facts.answered else ["first_response", "resolution"]
    at = facts.created_at if facts.status == "new" else now
    return {
        kind: started(kind, targets[kind], at) for kind in wanted if kind in targets and kind not in clocks
    }


def _owes_reply(clocks: Clocks) -> bool:
    """The oldest message without a reply is the one that counts."""
    return any(kind in clocks and clocks[kind].ended_at is None for kind in BY_REPLY)


def _stand(clock: Clock, status: Status, now: datetime) -> Clock:
    """Run, stand or end, as the ticket's status has it."""
    if status in ENDED:
        return end(clock, now)
    if clock.ended_at and clock.kind != "resolution":
        return clock
    clock = replace(clock, ended_at=None)
    return run(clock, now) if status in RUNS_IN else pause(clock)
