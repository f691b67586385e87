"""What is measured: each figure's name, its meaning as clients read it, and the SQL that counts it.

Every figure is an aggregate over rows of `analytics_facts` (migration 0082 says what they are), so that any
selection and grouping of them is counted alike. docs/ANALYTICS.md explains the choices.
"""

from dataclasses import dataclass

RESOLVED = "outcome IN ('resolved_by_assistant', 'resolved_by_agent')"
CLOCKS = ("first_response", "next_response", "resolution")
PERCENTILES = (50, 90, 95)


@dataclass(frozen=True, slots=True)
class Measure:
    """`whole` figures are counts, others may be absent (null) where there was nothing to divide by."""

    name: str
    sql: str
    about: str
    whole: bool = False


def count(name: str, where: str, about: str) -> Measure:
    return Measure(name, f"count(*) FILTER (WHERE {where})", about, whole=True)


def share(name: str, numerator: Measure, denominator: Measure, about: str) -> Measure:
    """A rate in [0, 1], by the names of what it divides."""
    told = f"{about}. Numerator: {numerator.name}; denominator: {denominator.name}"
    return Measure(name, f"({numerator.sql})::float8 / nullif({denominator.sql}, 0)", told)


def percentiles(name: str, where: str, about: str) -> tuple[Measure, ...]:
    """Of seconds, interpolated between the nearest two (PostgreSQL's percentile_cont)."""
    return tuple(
        Measure(
            f"{name}_p{percent}_s",
            f"percentile_cont({percent / 100}) WITHIN GROUP (ORDER BY value) FILTER (WHERE {where})",
            f"{about}: seconds that {percent} % stayed under",
        )
        for percent in PERCENTILES
    )


OPENED = count("opened", "kind = 'opened'", "inquiries that began")
ASSISTED = count(
    "assisted", "kind = 'opened' AND assisted", "inquiries that began in a conversation with the assistant"
)
HANDED_OVER = count(
    "handed_over",
    "kind = 'opened' AND assisted AND handed_over",
    "of `assisted`, those that became a ticket by now",
)
ENDED = count("ended", "kind = 'ended'", "inquiries that ended, and whose ending stands")
ASSISTED_ENDED = count(
    "assisted_ended", "kind = 'ended' AND assisted", "of `ended`, those that began with the assistant"
)
BY_ASSISTANT = count(
    "resolved_by_assistant",
    "kind = 'ended' AND outcome = 'resolved_by_assistant'",
    "of `ended`, those that the assistant resolved without a person: confirmed, or silent for 72 hours after "
    "an answer",
)
CONFIRMED = count(
    "confirmed",
    "kind = 'ended' AND outcome = 'resolved_by_assistant' AND reason = 'confirmed'",
    "of `resolved_by_assistant`, those that the customer confirmed",
)
BY_AGENT = count(
    "resolved_by_agent", "kind = 'ended' AND outcome = 'resolved_by_agent'", "of `ended`, by an agent"
)
ABANDONED = count("abandoned", "kind = 'ended' AND outcome = 'abandoned'", "of `ended`, without a solution")
RESOLVED_COUNT = count(
    "resolved", f"kind = 'ended' AND {RESOLVED}", "of `ended`, by the assistant or an agent"
)
RESOLUTIONS = count(
    "resolutions", "kind = 'resolution'", "resolutions, also those that somebody came back after"
)
RETURNED = count(
    "returned", "kind = 'resolution' AND returned", "of `resolutions`, those revoked by a return since"
)

RATES = (
    *(OPENED, ASSISTED, HANDED_OVER, ENDED, ASSISTED_ENDED, BY_ASSISTANT, CONFIRMED, BY_AGENT, ABANDONED),
    *(RESOLVED_COUNT, RESOLUTIONS, RETURNED),
    share("deflection_rate", BY_ASSISTANT, ASSISTED_ENDED, "Settled without a person, by the day it ended"),
    share("resolution_rate", RESOLVED_COUNT, ENDED, "Ended with a solution, by the day it ended"),
    share("reopen_rate", RETURNED, RESOLUTIONS, "Resolutions that did not last, by their own day"),
    share("hand_off_rate", HANDED_OVER, ASSISTED, "Passed on to people, by the day the inquiry began"),
)

PROMISES = count("promises", "kind = 'promise'", "promises (SLA clocks) that were kept or broken")
KEPT = count("kept", "kind = 'promise' AND met", "of `promises`, those kept")


def _of_clock(clock: str) -> tuple[Measure, ...]:
    where = f"kind = 'promise' AND clock = '{clock}'"
    promises = count(f"{clock}_promises", where, f"of `promises`, {clock}")
    kept = count(f"{clock}_kept", f"{where} AND met", f"of `kept`, {clock}")
    about = f"SLA attainment of {clock}, by the day it was decided"
    return promises, kept, share(f"{clock}_attainment", kept, promises, about)


SLA = (
    PROMISES,
    KEPT,
    share("attainment", KEPT, PROMISES, "SLA attainment, by the day each promise was kept or broken"),
    *(measure for clock in CLOCKS for measure in _of_clock(clock)),
)

TIMES = (
    count("first_replies", "kind = 'replied'", "tickets that got their first public reply from an agent"),
    *percentiles("first_reply", "kind = 'replied'", "From a ticket's beginning to its first reply"),
    RESOLVED_COUNT,
    *percentiles("resolution", f"kind = 'ended' AND {RESOLVED}", "From an inquiry's beginning to its end"),
    *percentiles(
        "assistant_resolution",
        "kind = 'ended' AND outcome = 'resolved_by_assistant'",
        "The same, of those that the assistant resolved",
    ),
    *percentiles(
        "agent_resolution",
        "kind = 'ended' AND outcome = 'resolved_by_agent'",
        "The same, of those that an agent resolved",
    ),
)

RATINGS = count("ratings", "kind = 'rated'", "tickets rated by their customers, each by its last rating")
SATISFIED = count("satisfied", "kind = 'rated' AND value >= 4", "of `ratings`, 4 and 5")
CSAT = (
    RATINGS,
    SATISFIED,
    share("csat", SATISFIED, RATINGS, "Customer satisfaction, by the day of the rating"),
    Measure("mean_score", "avg(value) FILTER (WHERE kind = 'rated')", "mean rating, from 1 to 5"),
)

TOKENS = Measure(
    "tokens",
    "coalesce(sum(tokens) FILTER (WHERE kind = 'ended'), 0)::bigint",
    "tokens, prompt and completion, of all answers in the inquiries that ended, however they ended",
    whole=True,
)
COST = Measure(
    "cost_usd",
    "coalesce(sum(cost_usd) FILTER (WHERE kind = 'ended'), 0)::float8",
    "what those answers cost, in US dollars",
)
COSTS = (
    ENDED,
    Measure("verified_resolutions", BY_ASSISTANT.sql, "`resolved_by_assistant`, as it stands", whole=True),
    TOKENS,
    COST,
    share("tokens_per_verified_resolution", TOKENS, BY_ASSISTANT, "Tokens that one resolution took"),
    share("cost_per_verified_resolution", COST, BY_ASSISTANT, "US dollars that one resolution took"),
)

AGE_H = "extract(epoch FROM moment - ticket_at)::float8 / 3600"
AGES: tuple[tuple[str, float, float | None], ...] = (
    ("under_4h", 0, 4),
    ("from_4h_to_1d", 4, 24),
    ("from_1d_to_3d", 24, 72),
    ("from_3d_to_7d", 72, 168),
    ("from_7d_to_30d", 168, 720),
    ("over_30d", 720, None),
)


def _aged(name: str, low: float, high: float | None) -> Measure:
    where = f"{AGE_H} >= {low}" + (f" AND {AGE_H} < {high}" if high else "")
    until = f"less than {high:g} hours" if high else "older"
    return count(name, where, f"of `open`, those that people have had for {low:g} hours or more, {until}")


BACKLOG = (
    Measure("open", "count(*)", "tickets not ended at that moment, by what is known of them now", whole=True),
    *(_aged(*age) for age in AGES),
    Measure("oldest_s", f"max({AGE_H}) * 3600", "age of the oldest of them, in seconds"),
)


def total(name: str, about: str, *, whole: bool = True) -> Measure:
    return Measure(name, f"coalesce(sum({name}), 0)::{'bigint' if whole else 'float8'}", about, whole)


SPEND = (
    total("calls", "answers, the assistant's and those taken straight from a model"),
    total("prompt_tokens", "tokens read"),
    total("completion_tokens", "tokens written"),
    total("cost_usd", "US dollars", whole=False),
)

_every = (*RATES, *SLA, *TIMES, *CSAT, *COSTS)
OVERVIEW = tuple({measure.name: measure for measure in _every}.values())
"""All of a period at once."""
