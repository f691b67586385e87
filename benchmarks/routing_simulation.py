"""Our routing against round-robin and least-loaded on a made-up desk: how many customers wait too long.

    python -m benchmarks.routing_simulation [--seeds 30] [--weeks 3] [--per-day 100] [--json FILE]

A discrete-event simulation. Scores come from `app.routing.scoring`, promises are kept by the clocks of
`app.sla`, both as they run in production; only time and people are made up. All strategies get the same
staff, arrivals, working times, capacities, order of the backlog, and order in which agents take up what they
have (earliest target first). They differ in one thing: who gets a ticket.

What the result rests on: skilled people are faster (`--skill-effect 0` switches that off), and who does not
speak a language takes 40 % longer.
"""

import argparse
import heapq
import json
import random
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from app.routing.scoring import Candidate, Need, best, rank
from app.sla.clock import Clocks, due_at
from app.sla.hours import after
from app.sla.rules import Facts, follow, left, look
from app.tickets.followers import Happening
from app.tickets.states import Status
from benchmarks.desk import OFFICE, PRIORITIES, PROMISED, START, Arrival, Person, arrivals, staff

MINUTE = timedelta(minutes=1)
RANKS = {priority: n for n, priority in enumerate(PRIORITIES)}

Choose: TypeAlias = Callable[[list[Candidate], Need], Candidate | None]


def ours() -> Choose:
    def choose(candidates: list[Candidate], need: Need) -> Candidate | None:
        chosen = best(rank(candidates, need))
        return chosen.candidate if chosen else None

    return choose


def round_robin() -> Choose:
    turn = count()

    def choose(candidates: list[Candidate], _: Need) -> Candidate | None:
        free = [each for each in candidates if each.present and each.open < each.capacity]
        return free[next(turn) % len(free)] if free else None

    return choose


def least_loaded() -> Choose:
    def choose(candidates: list[Candidate], _: Need) -> Candidate | None:
        free = [each for each in candidates if each.present and each.open < each.capacity]
        return min(free, key=lambda each: (each.open, each.last_assigned_at or START), default=None)

    return choose


STRATEGIES: Mapping[str, Callable[[], Choose]] = {
    "ours": ours,
    "round-robin": round_robin,
    "least-loaded": least_loaded,
}


@dataclass(eq=False)
class Ticket:
    arrival: Arrival
    status: Status = "new"
    answered: bool = False
    round: int = 0
    clocks: Clocks = field(default_factory=dict)
    target: datetime | None = None

    def happens(self, what: Happening, now: datetime) -> None:
        facts = Facts(self.status, self.arrival.at, self.answered)
        targets = PROMISED[self.arrival.priority]
        self.clocks, _ = follow(self.clocks, facts, targets, OFFICE, what, now)
        dues = [due for clock in self.clocks.values() if (due := due_at(clock, OFFICE))]
        self.target = min(dues, default=None)


@dataclass(eq=False)
class Worker:
    person: Person
    has: list[Ticket] = field(default_factory=list)
    busy: bool = False
    present: bool = False
    last_assigned_at: datetime | None = None
    worked_minutes: float = 0.0

    def candidate(self) -> Candidate:
        who = self.person
        return Candidate(
            id=who.id,
            name=str(who.id.int),
            languages=who.languages,
            skills=who.skills,
            capacity=who.capacity,
            present=self.present,
            last_assigned_at=self.last_assigned_at,
            open=len(self.has),
        )


class Desk:
    """One run: events in the order of time, each calling one of the methods below."""

    def __init__(self, seed: int, people: list[Person], choose: Choose, skill_effect: float) -> None:
        self.seed, self.choose, self.skill_effect = seed, choose, skill_effect
        self.workers = [Worker(person) for person in people]
        self.by_id = {worker.person.id: worker for worker in self.workers}
        self.waiting: list[Ticket] = []
        self.tickets: list[Ticket] = []
        self.now = START
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, moment: datetime, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), what))

    def run(self, incoming: list[Arrival], weeks: int) -> None:
        for day in range(weeks * 7):
            midnight = START + timedelta(days=day)
            if spans := OFFICE.spans(midnight.date()):
                opens = after(OFFICE, midnight, timedelta(microseconds=1))
                closes = after(OFFICE, midnight, (spans[-1][1] - spans[0][0]) * MINUTE)
                self.at(opens, self._opens)
                self.at(closes, self._closes)
        for arrival in incoming:
            self.at(arrival.at, lambda arrival=arrival: self._arrives(arrival))
        end = START + timedelta(weeks=weeks)
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        for ticket in self.tickets:
            ticket.clocks, _ = look(ticket.clocks, OFFICE, end)

    def _opens(self) -> None:
        """One in ten is away for the day, the same ones in every strategy."""
        for worker in self.workers:
            sick = random.Random(f"{self.seed} {self.now.date()} {worker.person.id}").random() < 0.1
            worker.present = not sick
        self._drain()
        for worker in self.workers:
            self._take_up(worker)

    def _closes(self) -> None:
        for worker in self.workers:
            worker.present = False

    def _arrives(self, arrival: Arrival) -> None:
        ticket = Ticket(arrival)
        ticket.happens("changed", self.now)
        self.tickets.append(ticket)
        self.waiting.append(ticket)
        self._drain()

    def _drain(self) -> None:
        """Urgent ones first, then the oldest, as production does; a queue that is full is skipped."""
        self.waiting.sort(key=lambda each: (-RANKS[each.arrival.priority], each.arrival.number))
        full: set[str] = set()
        for ticket in list(self.waiting):
            if ticket.arrival.queue not in full and not self._assign(ticket):
                full.add(ticket.arrival.queue)

    def _assign(self, ticket: Ticket) -> bool:
        queue = ticket.arrival.queue
        candidates = [each.candidate() for each in self.workers if queue in each.person.queues]
        chosen = self.choose(candidates, self._need(ticket))
        if chosen is None:
            return False
        worker = self.by_id[chosen.id]
        worker.has.append(ticket)
        worker.last_assigned_at = self.now
        self.waiting.remove(ticket)
        self._take_up(worker)
        return True

    def _need(self, ticket: Ticket) -> Need:
        arrival = ticket.arrival
        return Need(arrival.queue, arrival.intent, arrival.language, left(ticket.clocks, OFFICE, self.now))

    def _take_up(self, worker: Worker) -> None:
        """Work on what is due first; work that the evening interrupts goes on in the morning."""
        open_ = [ticket for ticket in worker.has if ticket.status in {"new", "open"}]
        if worker.busy or not worker.present or not open_:
            return
        ticket = min(open_, key=lambda each: (each.target or self.now, each.arrival.number))
        minutes = ticket.arrival.sessions[ticket.round] * self._slowness(worker.person, ticket.arrival)
        worker.busy, worker.worked_minutes = True, worker.worked_minutes + minutes
        self.at(after(OFFICE, self.now, minutes * MINUTE), lambda: self._replies(worker, ticket))

    def _slowness(self, person: Person, arrival: Arrival) -> float:
        """From 1.5 without the skill to 0.7 at level 5, and by a quarter either way, as people differ."""
        level = person.skills.get(arrival.intent, 0)
        skill = 1 + self.skill_effect * (0.5 - 0.16 * level)
        foreign = 1.0 if arrival.language in person.languages else 1.4
        noise = random.Random(f"{self.seed} {person.id} {arrival.intent}").lognormvariate(0, 0.25)
        return skill * foreign * noise

    def _replies(self, worker: Worker, ticket: Ticket) -> None:
        worker.busy = False
        ticket.answered = True
        ticket.happens("reply", self.now)
        ticket.round += 1
        if ticket.round == len(ticket.arrival.sessions):
            ticket.status = "resolved"
            worker.has.remove(ticket)
        else:
            ticket.status = "pending"
            back = self.now + ticket.arrival.waits[ticket.round] * MINUTE
            self.at(back, lambda: self._customer_writes(worker, ticket))
        ticket.happens("changed", self.now)
        self._drain()
        self._take_up(worker)

    def _customer_writes(self, worker: Worker, ticket: Ticket) -> None:
        ticket.status = "open"
        ticket.happens("changed", self.now)
        ticket.happens("customer_message", self.now)
        self._take_up(worker)


def simulate(seed: int, strategy: str, options: argparse.Namespace) -> dict[str, float]:
    desk = Desk(seed, staff(seed, options.staff), STRATEGIES[strategy](), options.skill_effect)
    desk.run(arrivals(seed, options.weeks, options.per_day), options.weeks)
    broken = [
        {clock.kind for clock in ticket.clocks.values() if clock.state == "breached"}
        for ticket in desk.tickets
    ]
    return {
        "tickets": len(desk.tickets),
        "breached": sum(map(bool, broken)),
        "first_response": sum("first_response" in kinds for kinds in broken),
        "resolution": sum("resolution" in kinds for kinds in broken),
        "unsolved": sum(ticket.status != "resolved" for ticket in desk.tickets),
        "work_hours": sum(worker.worked_minutes for worker in desk.workers) / 60,
    }


def compare(runs: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Paired by seed: how many tickets more than ours each other strategy breaches, in per cent of all."""
    rates = {name: [100 * run["breached"] / run["tickets"] for run in found] for name, found in runs.items()}
    return {
        name: _paired([other - own for other, own in zip(rates[name], rates["ours"], strict=True)])
        for name in runs
        if name != "ours"
    }


def _paired(differences: list[float]) -> dict[str, float]:
    n, mean = len(differences), statistics.fmean(differences)
    margin = float(student.ppf(0.975, n - 1)) * statistics.stdev(differences) / n**0.5
    return {
        "mean": mean,
        "low": mean - margin,
        "high": mean + margin,
        "seeds_won": sum(d > 0 for d in differences),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--weeks", type=int, default=3)
    parser.add_argument("--per-day", type=float, default=100)
    parser.add_argument("--staff", type=int, default=12)
    parser.add_argument("--skill-effect", type=float, default=1.0, help="0: everybody is equally fast")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds: a confidence interval needs at least 2")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = {name: [simulate(seed, name, options) for seed in seeds] for name in STRATEGIES}
    differences = compare(runs)
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name != "json"}
        report = {"settings": settings, "runs": runs, "more_breaches_than_ours_percent": differences}
        options.json.write_text(json.dumps(report, indent=1))
    Console().print(_table(runs, differences))
    return 0


def _table(runs: Mapping[str, list[dict[str, float]]], differences: dict[str, dict[str, float]]) -> Table:
    table = Table("strategy", "tickets", "breached", "first", "resolved", "hours", "more than ours, 95 %")
    for name, found in runs.items():
        mean: dict[str, Any] = {key: statistics.fmean(run[key] for run in found) for key in found[0]}
        shares = [
            f"{100 * mean[key] / mean['tickets']:.1f} %"
            for key in ("breached", "first_response", "resolution")
        ]
        other = differences.get(name)
        more = f"{other['mean']:+.1f} [{other['low']:+.1f}, {other['high']:+.1f}]" if other else ""
        table.add_row(name, f"{mean['tickets']:.0f}", *shares, f"{mean['work_hours']:.0f}", more)
    return table


if __name__ == "__main__":
    sys.exit(main())
