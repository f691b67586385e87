"""Figures of reckoned inquiries, one by one and in plain Python, by the names that the API gives them."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from tests.integration.reckoning import Inquiry, Labels

Key: TypeAlias = tuple[Any, ...]
PERCENTS = (50, 90, 95)


@dataclass(frozen=True)
class Fact:
    kind: str
    at: datetime
    labels: Labels
    inquiry: Inquiry
    value: Any = None


def facts(inquiries: Iterable[Inquiry], known: datetime) -> list[Fact]:
    """All that counts, as it was known at that moment."""
    found = []
    for it in inquiries:
        if it.opened > known:
            continue
        labels = it.about(known)
        found.append(Fact("opened", it.opened, labels, it, bool(it.ticket_at and it.ticket_at <= known)))
        standing = it.standing(known)
        if standing:
            found.append(Fact("ended", standing.valid, labels, it, standing))
        for ending in it.endings:
            undone = ending.revoked is not None and ending.revoked <= known
            if ending.how == "abandoned" or ending.recorded > known or (undone and not ending.came_back):
                continue
            found.append(Fact("resolution", ending.valid, labels, it, (undone, ending.agent)))
        if it.reply and it.reply[0] <= known:
            found.append(Fact("replied", it.reply[0], labels, it, it.reply[1]))
        ratings = [rating for rating in it.ratings if rating[0] <= known]
        if ratings:
            found.append(Fact("rated", ratings[-1][0], labels, it, ratings[-1][1]))
        for clock in it.clocks:
            decided = clock.broken or clock.ended
            if decided and decided <= known:
                found.append(Fact("promise", decided, labels, it, (clock.kind, clock.broken is None)))
    return found


def grouped(
    found: Iterable[Fact], first: date, last: date, tz: str, by: Sequence[str]
) -> dict[Key, list[Fact]]:
    zone = ZoneInfo(tz)
    groups: dict[Key, list[Fact]] = defaultdict(list)
    if not by:
        groups[()] = []
    for fact in found:
        day = fact.at.astimezone(zone).date()
        if first <= day <= last:
            groups[key(fact, day, by)].append(fact)
    return groups


def key(fact: Fact, day: date, by: Sequence[str]) -> Key:
    parts = {
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        **dict(zip(("queue", "intent", "language"), fact.labels, strict=True)),
    }
    return tuple(parts[name] for name in by)


def measured(group: Sequence[Fact]) -> dict[str, float | None]:
    """Every figure of the overview."""
    of: dict[str, list[Fact]] = defaultdict(list)
    for fact in group:
        of[fact.kind].append(fact)
    figures = _rates(of) | _promises(of["promise"]) | _times(of) | _ratings(of["rated"])
    tokens = sum(fact.inquiry.tokens for fact in of["ended"])
    cost = sum(fact.inquiry.cost_usd for fact in of["ended"])
    verified = figures["resolved_by_assistant"]
    return figures | {
        "verified_resolutions": verified,
        "tokens": tokens,
        "cost_usd": cost,
        "tokens_per_verified_resolution": _over(tokens, verified),
        "cost_per_verified_resolution": _over(cost, verified),
    }


def _rates(of: dict[str, list[Fact]]) -> dict[str, float | None]:
    def ended(test: Callable[[Fact], bool]) -> int:
        return sum(test(fact) for fact in of["ended"])

    assisted = [fact for fact in of["opened"] if fact.inquiry.assisted]
    deflected = ended(lambda fact: fact.value.how == "resolved_by_assistant")
    resolved = ended(lambda fact: fact.value.how != "abandoned")
    assisted_ended = ended(lambda fact: fact.inquiry.assisted)
    handed_over = sum(fact.value for fact in assisted)
    returned = sum(fact.value[0] for fact in of["resolution"])
    return {
        "opened": len(of["opened"]),
        "assisted": len(assisted),
        "handed_over": handed_over,
        "ended": len(of["ended"]),
        "assisted_ended": assisted_ended,
        "resolved_by_assistant": deflected,
        "confirmed": ended(lambda fact: fact.value.why == "confirmed"),
        "resolved_by_agent": ended(lambda fact: fact.value.how == "resolved_by_agent"),
        "abandoned": ended(lambda fact: fact.value.how == "abandoned"),
        "resolved": resolved,
        "resolutions": len(of["resolution"]),
        "returned": returned,
        "deflection_rate": _over(deflected, assisted_ended),
        "resolution_rate": _over(resolved, len(of["ended"])),
        "reopen_rate": _over(returned, len(of["resolution"])),
        "hand_off_rate": _over(handed_over, len(assisted)),
    }


def _promises(promises: Sequence[Fact]) -> dict[str, float | None]:
    kept = sum(fact.value[1] for fact in promises)
    figures = {"promises": len(promises), "kept": kept, "attainment": _over(kept, len(promises))}
    for clock in ("first_response", "next_response", "resolution"):
        these = [fact for fact in promises if fact.value[0] == clock]
        kept = sum(fact.value[1] for fact in these)
        figures |= {
            f"{clock}_promises": len(these),
            f"{clock}_kept": kept,
            f"{clock}_attainment": _over(kept, len(these)),
        }
    return figures


def _times(of: dict[str, list[Fact]]) -> dict[str, float | None]:
    def took(*hows: str) -> list[float]:
        these = [fact for fact in of["ended"] if fact.value.how in hows]
        return [(fact.at - fact.inquiry.opened).total_seconds() for fact in these]

    samples = {
        "first_reply": [fact.value for fact in of["replied"]],
        "resolution": took("resolved_by_assistant", "resolved_by_agent"),
        "assistant_resolution": took("resolved_by_assistant"),
        "agent_resolution": took("resolved_by_agent"),
    }
    figures: dict[str, float | None] = {"first_replies": len(of["replied"])}
    for name, seconds in samples.items():
        figures |= {f"{name}_p{percent}_s": percentile(seconds, percent) for percent in PERCENTS}
    return figures


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Linear between the two nearest ranks (Hyndman and Fan's type 7)."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _ratings(rated: Sequence[Fact]) -> dict[str, float | None]:
    satisfied = sum(fact.value >= 4 for fact in rated)
    return {
        "ratings": len(rated),
        "satisfied": satisfied,
        "csat": _over(satisfied, len(rated)),
        "mean_score": _over(sum(fact.value for fact in rated), len(rated)),
    }


def _over(numerator: float, denominator: float | None) -> float | None:
    return numerator / denominator if denominator else None


def backlog(inquiries: Iterable[Inquiry], at: datetime, known: datetime) -> list[tuple[float, Labels]]:
    """Ages in hours, and labels, of the tickets that people had then."""
    found = []
    for it in inquiries:
        if it.ticket_at is None or it.ticket_at > min(at, known):
            continue
        standing = it.standing(known)
        if standing is None or standing.valid > at:
            found.append(((at - it.ticket_at) / timedelta(hours=1), it.about(known)))
    return found
