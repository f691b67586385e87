"""A made-up support desk for `routing_simulation.py`: who works there and what comes in, from a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from app.sla.hours import Hours, worked
from app.sla.rules import Targets
from app.tickets.schemas import Priority

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 16, tzinfo=UTC)  # two weeks before summer time, three before Easter
OFFICE = Hours(ZoneInfo("Europe/Berlin"), (((540, 1080),),) * 5 + ((), ()), country="DE")

QUEUES: Mapping[str, tuple[str, ...]] = {
    "billing": ("invoice", "refund", "plan", "tax"),
    "sync": ("conflict", "upload", "desktop", "offline"),
    "accounts": ("password", "email", "deletion", "login"),
}
LANGUAGES = {"en": 0.6, "de": 0.25, "es": 0.15}
PRIORITIES: Mapping[Priority, float] = {"low": 0.2, "normal": 0.5, "high": 0.22, "urgent": 0.08}


def _targets(first: int, following: int, resolution: int) -> Targets:
    return {
        "first_response": first * MINUTE,
        "next_response": following * MINUTE,
        "resolution": resolution * MINUTE,
    }


PROMISED: Mapping[Priority, Targets] = {
    "low": _targets(960, 960, 2880),
    "normal": _targets(480, 480, 1440),
    "high": _targets(150, 150, 960),
    "urgent": _targets(60, 90, 480),
}


@dataclass(frozen=True, slots=True)
class Person:
    id: UUID
    languages: frozenset[str]
    queues: frozenset[str]
    skills: Mapping[str, int]
    capacity: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """Minutes of work at middling skill in each of its `sessions`, and how long the customer `waits` then."""

    number: int
    at: datetime
    queue: str
    intent: str
    language: str
    priority: Priority
    sessions: tuple[float, ...]
    waits: tuple[float, ...]


def staff(seed: int, count: int) -> list[Person]:
    """Everybody knows two or three intents of each of their two queues, and English."""
    rng = random.Random(f"staff {seed}")
    return [_person(rng, n) for n in range(count)]


def _person(rng: random.Random, n: int) -> Person:
    names = sorted(QUEUES)
    queues = {names[n % len(names)], rng.choice(names)}
    skills = {
        intent: rng.randint(2, 5)
        for queue in sorted(queues)
        for intent in rng.sample(QUEUES[queue], rng.randint(2, 3))
    }
    others = [language for language in ("de", "es") if rng.random() < 0.4]
    return Person(UUID(int=n + 1), frozenset({"en", *others}), frozenset(queues), skills, rng.randint(8, 14))


def arrivals(seed: int, weeks: int, per_day: float) -> list[Arrival]:
    """A Poisson stream, three times as dense in business hours as outside them."""
    rng = random.Random(f"arrivals {seed}")
    found: list[Arrival] = []
    now, end = START, START + timedelta(weeks=weeks)
    peak = per_day / (9 + 15 / 3) / 60  # a minute
    while (now := now + rng.expovariate(peak) * MINUTE) < end:
        busy = worked(OFFICE, now, now + MINUTE) > timedelta()
        if busy or rng.random() < 1 / 3:
            found.append(_arrival(rng, len(found), now))
    return found


def _arrival(rng: random.Random, number: int, at: datetime) -> Arrival:
    queue = rng.choice(sorted(QUEUES))
    rounds = 1 + (rng.random() < 0.45) + (rng.random() < 0.15)
    return Arrival(
        number,
        at,
        queue,
        rng.choice(QUEUES[queue]),
        rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
        rng.choices(list(PRIORITIES), list(PRIORITIES.values()))[0],
        sessions=tuple(rng.lognormvariate(3.0, 0.7) for _ in range(rounds)),
        waits=tuple(rng.expovariate(1 / 240) for _ in range(rounds)),
    )
