"""The clocks of a ticket through its whole life, against a count of minutes that cannot be wrong for long."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.sla.clock import BREACH, MARKS, Clock, Kind, Mark, advance, due_at, end, next_at, pause, run, started
from app.sla.hours import Hours
from app.sla.rules import Facts, Targets, follow, look
from app.tickets.followers import Happening
from app.tickets.states import ENDED, REOPENED_BY_REPLY, TRANSITIONS, Status
from tests.unit.minutes import MINUTE, ZONES, hours_of_a_desk, is_open, slow_after

ALWAYS = Hours(ZoneInfo("UTC"), (((0, 1440),),) * 7)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TARGETS: tuple[Mapping[Kind, int], ...] = (
    {"first_response": 60, "next_response": 90, "resolution": 700},
    {"first_response": 30, "resolution": 200},
    {"next_response": 45, "resolution": 2000},
)


def minutes(targets: Mapping[Kind, int]) -> Targets:
    return {kind: n * MINUTE for kind, n in targets.items()}


def clock(target: timedelta = HOUR) -> Clock:
    return started("resolution", target, NOW)


def test_it_warns_at_each_mark_once_and_is_breached_at_the_last() -> None:
    seen: list[tuple[int, int]] = []
    running = clock()
    for minute in range(0, 120, 3):
        running, marks = advance(running, ALWAYS, NOW + minute * MINUTE)
        seen += [(mark.percent, minute) for mark in marks]
    assert seen == [(50, 30), (75, 45), (90, 54), (100, 60)]
    assert running.state == "breached"


def test_an_answer_at_the_very_last_instant_is_late_one_before_it_is_not() -> None:
    late, marks = advance(clock(), ALWAYS, NOW + HOUR)
    assert marks[-1] == Mark("resolution", BREACH)
    assert end(late, NOW + HOUR).state == "breached"
    in_time, _ = advance(clock(), ALWAYS, NOW + HOUR - timedelta(microseconds=1))
    assert end(in_time, NOW + HOUR).state == "met"


def test_while_it_stands_nothing_is_spent() -> None:
    half, _ = advance(clock(), ALWAYS, NOW + HOUR / 4)
    standing = pause(half)
    assert (standing.state, due_at(standing, ALWAYS), next_at(standing, ALWAYS)) == ("paused", None, None)
    later, marks = advance(standing, ALWAYS, NOW + 100 * HOUR)
    assert (later.spent, marks) == (HOUR / 4, ())
    assert due_at(run(later, NOW + 100 * HOUR), ALWAYS) == NOW + 100 * HOUR + HOUR * 3 / 4


def test_a_clock_that_was_looked_at_late_says_all_it_missed() -> None:
    _, marks = advance(clock(), ALWAYS, NOW + 10 * HOUR)
    assert [mark.percent for mark in marks] == list(MARKS)


def test_a_promise_that_can_never_fall_due_is_no_error() -> None:
    shut = Hours(ZoneInfo("UTC"), ((),) * 7)
    assert (due_at(clock(), shut), next_at(clock(), shut)) == (None, None)
    assert clock().state == "active"


def test_a_year_is_replayed_in_a_second() -> None:
    """A thousand tickets, each swept when it has something to say."""
    office = Hours(ZoneInfo("Europe/Berlin"), (((540, 1080),),) * 5 + ((), ()), country="DE")
    began, said = time.perf_counter(), 0
    for n in range(1000):
        ticket = started("resolution", 16 * HOUR, NOW + n * timedelta(hours=8.76))
        while (moment := next_at(ticket, office)) is not None:
            ticket, marks = advance(ticket, office, moment)
            said += len(marks)
    assert said == 4000
    assert time.perf_counter() - began < 5, "0.1 s, where nothing else runs"


@dataclass
class SlowClock:
    target: int
    spent: int = 0
    said: set[int] = field(default_factory=set)
    ended: bool = False

    def say(self) -> None:
        if not self.ended:
            self.said |= {mark for mark in MARKS if self.spent * 100 >= mark * self.target}

    def state(self, status: Status) -> str:
        if 100 in self.said:
            return "breached"
        if self.ended:
            return "met"
        return "active" if status in {"new", "open"} else "paused"


class TicketLife(RuleBasedStateMachine):
    """Whatever happens in whatever order, and whenever somebody looks: clocks agree with counted minutes."""

    @initialize(
        hours=hours_of_a_desk(),
        day=st.sampled_from([day for _, days in ZONES for day in days]),
        promised=st.sampled_from(TARGETS),
    )
    def create(self, hours: Hours, day: date, promised: Mapping[Kind, int]) -> None:
        self.hours, self.targets = hours, promised
        self.now = self.created_at = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=8)
        self.status: Status = "new"
        self.answered = False
        self.waited = 0
        self.fast: dict[Kind, Clock] = {}
        self.said: dict[Kind, list[int]] = {}
        self.slow: dict[Kind, SlowClock] = {}
        self.happens("changed")

    @rule(minutes=st.integers(1, 900))
    def time_passes(self, minutes: int) -> None:
        for _ in range(minutes):
            if is_open(self.hours, self.now) and self.status in {"new", "open"}:
                self.waited += 1
                for clock in self.slow.values():
                    clock.spent += not clock.ended
                    clock.say()
            self.now += MINUTE

    @rule()
    def sweep(self) -> None:
        self.happens("changed")

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        self.status = data.draw(st.sampled_from(sorted(TRANSITIONS[self.status])))
        self.happens("changed")

    @precondition(lambda self: self.status != "closed")
    @rule()
    def agent_replies(self) -> None:
        self.answered = True
        self.happens("reply")

    @precondition(lambda self: self.status != "closed")
    @rule()
    def customer_writes(self) -> None:
        if self.status in REOPENED_BY_REPLY:
            self.status = "open"
            self.happens("changed")
        self.happens("customer_message")

    @rule(promised=st.sampled_from(TARGETS))
    def another_policy_applies(self, promised: Mapping[Kind, int]) -> None:
        self.targets = promised
        self.happens("changed")

    def happens(self, what: Happening) -> None:
        facts = Facts(self.status, self.created_at, self.answered)
        before = self.fast
        current, marks = follow(before, facts, minutes(self.targets), self.hours, what, self.now)
        self.fast = dict(current)
        for kind, found in self.fast.items():
            if kind not in before or found.started_at != before[kind].started_at:
                self.said[kind] = []
        for mark in marks:
            self.said.setdefault(mark.kind, []).append(mark.percent)
        self.slowly(what)

    def slowly(self, what: Happening) -> None:
        slow = self.slow
        for kind in [kind for kind, clock in slow.items() if not clock.ended and kind not in self.targets]:
            del slow[kind]
        for kind, clock in slow.items():
            clock.target = clock.target if clock.ended else self.targets[kind]
        if self.status not in ENDED:
            wanted: set[Kind] = {"resolution"} if self.answered else {"first_response", "resolution"}
            for kind in (wanted & self.targets.keys()) - slow.keys():
                slow[kind] = SlowClock(self.targets[kind], self.waited if self.status == "new" else 0)
        owed = any(kind in slow and not slow[kind].ended for kind in ("first_response", "next_response"))
        if what == "customer_message" and not owed and "next_response" in self.targets:
            slow["next_response"] = SlowClock(self.targets["next_response"])
        for clock in slow.values():
            clock.say()
        for kind, clock in slow.items():
            if self.status in ENDED or (what == "reply" and kind != "resolution"):
                clock.ended = True
            elif kind == "resolution":
                clock.ended = False

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "slow"):
            return
        looked, marks = look(self.fast, self.hours, self.now)
        assert looked.keys() == self.slow.keys()
        for kind, slow in self.slow.items():
            found = looked[kind]
            said = self.said[kind] + [mark.percent for mark in marks if mark.kind == kind]
            assert found.state == slow.state(self.status)
            assert found.spent == slow.spent * MINUTE
            assert sorted(said) == sorted(slow.said), "each mark once, none missing"
            self.falls_due(found, slow)

    def falls_due(self, found: Clock, slow: SlowClock) -> None:
        due = due_at(found, self.hours)
        if found.state != "active":
            return
        assert due is not None
        if due - self.now < timedelta(hours=20):
            assert due == slow_after(self.hours, self.now, slow.target - slow.spent)


TestTicketLife = TicketLife.TestCase
TestTicketLife.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.mark.long
class TestTicketLifeAtLength(TicketLife.TestCase):
    settings = settings(max_examples=600, stateful_step_count=50, deadline=None)
