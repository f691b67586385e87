"""Who should have a ticket: a score for each agent, in parts that can be shown. No clock, no database."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

WEIGHTS: Mapping[str, float] = {"skill": 0.5, "language": 0.2, "load": 0.3}
TOP_LEVEL = 5
QUEUE_SKILL_DISCOUNT = 0.6
"""Knowing a queue's field counts for less than knowing the very intent."""

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Need:
    """What a ticket asks of an agent; `None` where it is not known."""

    queue: str | None
    intent: str | None
    language: str | None


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
        "load": 1 - min(candidate.open / candidate.capacity, 1.0) if candidate.capacity else 0.0,
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


def _words(name: str) -> set[str]:
    return {word.removesuffix("s") for word in re.split(r"[\W_]+", name.lower()) if word}


def _language(candidate: Candidate, need: Need) -> float:
    if need.language is None:
        return 0.5
    return float(need.language in candidate.languages)


def _obstacle(candidate: Candidate) -> str | None:
    if not candidate.present:
        return "absent"
    if candidate.open >= candidate.capacity:
        return f"full: {candidate.open} of {candidate.capacity}"
    return None


def _order(ranked: Ranked) -> tuple[bool, float, datetime, UUID]:
    idle_since = ranked.candidate.last_assigned_at or NEVER
    return ranked.obstacle is not None, -ranked.score, idle_since, ranked.candidate.id
