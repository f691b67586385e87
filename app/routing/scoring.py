"""Who should have a ticket: a score for each agent, in parts that can be shown. No clock, no database."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

WEIGHTS: Mapping[str, float] = {"skill": 0.3, "language": 0.15, "load": 0.15, "time": 0.4}
"""Chosen on seeds of `benchmarks/routing_simulation.py` that docs/ROUTING.md does not report."""

TOP_LEVEL = 5
QUEUE_SKILL_DISCOUNT = 0.6
"""Knowing a queue's field counts for less than knowing the very intent."""

HANDLING = timedelta(minutes=40)
"""What each ticket that an agent has is taken to cost the next one in waiting."""

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Need:
    """What a ticket asks of an agent; `None` where it is not known."""

    queue: str | None
    intent: str | None
    language: str | None
    left: timedelta | None = None
    """Business time until a promise to the customer is broken."""


@dataclass(frozen=True, slots=True)
class Candidate:
    id: UUID
    name: str
    languages: frozenset[str]
    skills: Mapping[str, int]
    capacity: int
    present: bool
    last_assigned_at: datetime | None
    open: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """`parts`, each in [0, 1], weighted make up `score`; `obstacle` says why an agent cannot have it now."""

    candidate: Candidate
    score: float
    parts: Mapping[str, float]
    obstacle: str | None


def rank(candidates: Iterable[Candidate], need: Need) -> list[Ranked]:
    """Best first: those who can, by score; the longest idle among equals."""
    return sorted((_judge(each, need) for each in candidates), key=_order)


def best(ranking: list[Ranked]) -> Ranked | None:
    return ranking[0] if ranking and ranking[0].obstacle is None else None


def _judge(candidate: Candidate, need: Need) -> Ranked:
    parts = {
        "skill": _skill(candidate, need),
        "language": _language(candidate, need),
        "load": _load(candidate),
        "time": _time(candidate, need),
    }
    score = sum(WEIGHTS[name] * value for name, value in parts.items())
    return Ranked(candidate, round(score, 6), parts, _obstacle(candidate))


def _skill(candidate: Candidate, need: Need) -> float:
    intent = _level(candidate.skills, need.intent)
    queue = _level(candidate.skills, need.queue) * QUEUE_SKILL_DISCOUNT
    return max(intent, queue) / TOP_LEVEL


def _level(skills: Mapping[str, int], label: str | None) -> int:
    """The best skill that shares a word with the label, as `refunds` does with `cancel_refund`."""
    wanted = _words(label or "")
    return max((level for skill, level in skills.items() if wanted & _words(skill)), default=0)


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(word.removesuffix("s") for word in re.split(r"[\W_]+", name.lower()) if word)


def _language(candidate: Candidate, need: Need) -> float:
    if need.language is None:
        return 0.5
    return float(need.language in candidate.languages)


def _load(candidate: Candidate) -> float:
    return 1 - min(candidate.open / candidate.capacity, 1.0) if candidate.capacity else 0.0


def _time(candidate: Candidate, need: Need) -> float:
    """How much of the time left remains when the agent gets to it: load counts less where time is long."""
    if need.left is None:
        return _load(candidate)
    if need.left <= timedelta():
        return 1 / (1 + candidate.open)
    return max(0.0, 1 - candidate.open * HANDLING / need.left)


def _obstacle(candidate: Candidate) -> str | None:
    if not candidate.present:
        return "absent"
    if candidate.open >= candidate.capacity:
        return f"full: {candidate.open} of {candidate.capacity}"
    return None


def _order(ranked: Ranked) -> tuple[bool, float, datetime, UUID]:
    idle_since = ranked.candidate.last_assigned_at or NEVER
    return ranked.obstacle is not None, -ranked.score, idle_since, ranked.candidate.id
