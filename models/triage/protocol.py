"""What triage says about a new ticket, wherever it runs."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Priority: TypeAlias = Literal["low", "normal", "high", "urgent"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high", "urgent")
Sentiment: TypeAlias = Literal["negative", "neutral", "positive"]
SENTIMENTS: tuple[Sentiment, ...] = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its calibrated probability in [0, 1]."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Triage:
    """`intent` and `queue` are `None` where triage does not know: a person decides."""

    intent: Label | None
    queue: Label | None
    priority: Priority
    language: Label
    sentiment: Sentiment
    reasons: tuple[str, ...]
    version: str
    candidates: tuple[Label, ...] = field(default_factory=tuple)
    """The likeliest intents, best first, also where the best is too unlikely to be chosen."""

    familiarity: float = 0.0
    """In [0, 1]: that the text is like any that was learnt."""

    priority_probability: float = 0.0
    sentiment_probability: float = 0.0
    """That a person would say the same; 0 where nobody has estimated it."""

    projection: tuple[float, ...] = field(default_factory=tuple)
    """The text's vector in the few directions that drift is watched in."""

    shadow: "Triage | None" = None
    """What the version in the shadow of this one says; it decides nothing."""


class Triager(Protocol):
    async def triage(self, subject: str, body: str) -> Triage: ...
