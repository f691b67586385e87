"""Slow and obvious: what docs/ANALYTICS.md says, told from the steps of lives. Shares no code with app.

It knows when every inquiry ended, who came back, and since when that could be known. The figures of any days,
as they were known at any moment, follow by looking at every inquiry each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.integration.year import ANSWER_AFTER, QUEUES, Life, Step

SILENCE = timedelta(hours=72)
STILL_THERE = timedelta(minutes=30)
TARGETS = {
    "first_response": timedelta(hours=4),
    "next_response": timedelta(hours=8),
    "resolution": timedelta(hours=48),
}
Labels = tuple[str | None, str | None, str | None]


@dataclass
class Ending:
    """An inquiry was over, at least it seemed so; `came_back` says whether that took it back."""

    how: str
    why: str
    valid: datetime
    recorded: datetime
    agent: int | None = None
    revoked: datetime | None = None
    came_back: bool = False


@dataclass
class Clock:
    """A promise; `ended` when nothing is owed any more, `broken` when that it took too long was noticed."""

    kind: str
    running_since: datetime | None
    spent: timedelta = timedelta()
    broken: datetime | None = None
    ended: datetime | None = None


@dataclass
class Inquiry:
    opened: datetime
    assisted: bool
    ticket_at: datetime | None = None
    labels: list[tuple[datetime, Labels]] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    reply: tuple[datetime, float, int] | None = None
    ratings: list[tuple[datetime, int]] = field(default_factory=list)
    tokens: int = 0
    cost_usd: float = 0.0
    clocks: list[Clock] = field(default_factory=list)
    assignee: int | None = None
    status: str = "new"
    answers: int = 0
    waiting: tuple[str, datetime] | None = None
    """What the last answer was like, while its customer may still say something."""

    def standing(self, known: datetime) -> Ending | None:
        """The ending that nobody had taken back by then."""
        found = [e for e in self.endings if e.recorded <= known and not (e.revoked and e.revoked <= known)]
        assert len(found) <= 1
        return found[0] if found else None

    def about(self, known: datetime) -> Labels:
        return [labels for at, labels in self.labels if at <= known][-1]


def inquiry(life: Life, ticks: Sequence[datetime]) -> Inquiry:
    """Live through a life, looking around at every tick between two steps."""
    first = life[0]
    it = Inquiry(first.at, assisted=first.what == "ask")
    it.labels.append((first.at, (None, None, None)))
    moments: list[tuple[datetime, Step | None]] = [(step.at, step) for step in life]
    moments += [(tick, None) for tick in ticks if tick > first.at]
    for at, step in sorted(moments, key=lambda each: each[0]):
        if step is None:
            _silence(it, at)
            _look(it, at)
        elif step.what in {"ask", "verdict", "first_verdict", "classify"}:
            _talk(it, at, step)
        elif step.what in {"file", "hand_over"}:
            _begin_ticket(it, at)
        elif step.what in {"reply", "message"}:
            _write(it, at, step)
        else:
            _change(it, at, step)
    return it


def _talk(it: Inquiry, at: datetime, step: Step) -> None:
    if step.what == "classify":
        it.labels.append((at, step.value))
    elif step.what == "ask":
        outcome, tokens, cost_usd = step.value
        it.answers += 1
        if outcome != "interrupted":
            it.tokens += tokens
            it.cost_usd += cost_usd
        if it.ticket_at is None:
            _back(it, at, still_there=True)
            it.waiting = outcome, at + ANSWER_AFTER
    elif it.ticket_at is None and (step.what == "verdict" or it.answers == 1):
        _verdict(it, at, helpful=step.value)


def _silence(it: Inquiry, now: datetime) -> None:
    if it.waiting and now >= it.waiting[1] + SILENCE:
        outcome, since = it.waiting
        it.waiting = None
        if it.standing(now) is None:
            how = "resolved_by_assistant" if outcome == "answered" else "abandoned"
            it.endings.append(Ending(how, "silence", since, now))


def _verdict(it: Inquiry, at: datetime, *, helpful: bool) -> None:
    standing = it.standing(at)
    if helpful:
        it.waiting = None
        if standing and standing.why == "confirmed":
            return
        valid = standing.valid if standing and standing.how == "resolved_by_assistant" else at
        if standing:
            standing.revoked = at
        it.endings.append(Ending("resolved_by_assistant", "confirmed", valid, at))
    elif standing is None or standing.how != "abandoned":
        if standing:
            standing.revoked, standing.came_back = at, True
        it.waiting = "unhelpful", at


def _back(it: Inquiry, at: datetime, *, still_there: bool) -> None:
    """The customer is there after what seemed the end; `still_there`: unless they never left."""
    standing = it.standing(at)
    if standing:
        stayed = still_there and standing.why == "confirmed" and at - standing.recorded <= STILL_THERE
        standing.revoked, standing.came_back = at, not stayed


def _begin_ticket(it: Inquiry, at: datetime) -> None:
    _back(it, at, still_there=False)
    it.waiting, it.ticket_at = None, at
    it.clocks = [Clock(kind, at) for kind in ("first_response", "resolution")]


def _look(it: Inquiry, at: datetime) -> None:
    """Notice what was broken by now."""
    for clock in it.clocks:
        if clock.running_since is not None:
            clock.spent += at - clock.running_since
            clock.running_since = at
        if clock.ended is None and clock.broken is None and clock.spent >= TARGETS[clock.kind]:
            clock.broken = at


def _settle(it: Inquiry, at: datetime, *kinds: str) -> None:
    for clock in it.clocks:
        if clock.kind in kinds and clock.ended is None:
            clock.ended, clock.running_since = at, None


def _write(it: Inquiry, at: datetime, step: Step) -> None:
    assert it.ticket_at
    if step.agent is not None:
        _look(it, at)
        if it.reply is None:
            it.reply = at, (at - it.ticket_at).total_seconds(), step.agent
        _settle(it, at, "first_response", "next_response")
        return
    if it.status in {"pending", "resolved"}:
        _move(it, at, "open", by_customer=True)
    _look(it, at)
    if all(clock.ended for clock in it.clocks if clock.kind != "resolution"):
        it.clocks.append(Clock("next_response", at if it.status in {"new", "open"} else None))


def _change(it: Inquiry, at: datetime, step: Step) -> None:
    queue, intent, language = it.labels[-1][1]
    match step.what:
        case "triage":
            a, b, c = step.value
            it.labels.append((at, (a or queue, b or intent, c or language)))
            _look(it, at)
        case "patch":
            new = (step.value, intent, language) if step.value in QUEUES else (queue, step.value, language)
            it.labels.append((at, new))
            _look(it, at)
        case "assign":
            it.assignee = step.value
        case "rate":
            if not it.ratings or it.ratings[-1][1] != step.value:
                it.ratings.append((at, step.value))
        case "move":
            _move(it, at, step.value, by_customer=step.agent is None)


def _move(it: Inquiry, at: datetime, to: str, *, by_customer: bool) -> None:
    _look(it, at)
    was, it.status = it.status, to
    over, was_over = to in {"resolved", "closed"}, was in {"resolved", "closed"}
    if over and not was_over:
        it.endings.append(_ending(it, at, was, by_customer=by_customer))
        _settle(it, at, "first_response", "next_response", "resolution")
    if was_over and not over:
        standing = it.standing(at)
        assert standing
        standing.revoked, standing.came_back = at, True
        for clock in it.clocks:
            if clock.kind == "resolution":
                clock.ended = None
    for clock in it.clocks:
        clock.running_since = at if to in {"new", "open"} and clock.ended is None else None


def _ending(it: Inquiry, at: datetime, was: str, *, by_customer: bool) -> Ending:
    answered = it.reply is not None
    agent = it.assignee if it.assignee is not None else (it.reply[2] if it.reply else None)
    if by_customer and not answered:
        return Ending("abandoned", "", at, at)
    if not by_customer and it.status == "closed" and (not answered or was == "pending"):
        return Ending("abandoned", "", at, at)
    return Ending("resolved_by_agent", "", at, at, agent)
