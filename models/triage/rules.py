"""Priority and sentiment by rules that anybody can read: `rules.yaml`. Every match is a reason."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from models.triage.protocol import Priority, Sentiment

RULES = Path(__file__).with_name("rules.yaml")
URGENT, HIGH, LOW = 4, 2, -1


class Signal(BaseModel):
    """Words that speak for or against haste."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    points: int
    words: tuple[str, ...]


class SentimentWords(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    negative: tuple[str, ...]
    positive: tuple[str, ...]


class RuleBook(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    priority: tuple[Signal, ...]
    sentiment: SentimentWords


@dataclass(frozen=True, slots=True)
class Verdict:
    priority: Priority
    sentiment: Sentiment
    reasons: tuple[str, ...]


class Rules:
    """A rule book with its words compiled."""

    def __init__(self, book: RuleBook) -> None:
        self._signals = [(signal, _pattern(signal.words)) for signal in book.priority]
        self._negative = _pattern(book.sentiment.negative)
        self._positive = _pattern(book.sentiment.positive)

    @classmethod
    def load(cls, file: Path = RULES) -> "Rules":
        return cls(RuleBook.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))))

    def judge(self, text: str) -> Verdict:
        """Each signal counts once, however often its words stand in the text."""
        found = [(signal, match[0]) for signal, pattern in self._signals if (match := pattern.search(text))]
        priority = _priority(sum(signal.points for signal, _ in found))
        reasons = [f"{signal.name} ({signal.points:+d}): “{word}”" for signal, word in found]
        return Verdict(priority, self._sentiment(text), (f"priority {priority}", *reasons))

    def _sentiment(self, text: str) -> Sentiment:
        shouted = len(re.findall(r"!{2,}|\?{2,}|\b[A-ZÄÖÜ]{4,}\b(?: [A-ZÄÖÜ]{2,}\b)+", text))
        balance = len(self._positive.findall(text)) - len(self._negative.findall(text)) - shouted
        return "negative" if balance < 0 else "positive" if balance > 0 else "neutral"


def _priority(points: int) -> Priority:
    if points >= URGENT:
        return "urgent"
    if points >= HIGH:
        return "high"
    return "low" if points <= LOW else "normal"


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Longest first, so that the reason quotes as much as it can."""
    parts = [re.escape(word).replace(r"\*", r".{0,20}?").replace(r"\ ", r"\s+") for word in words]
    return re.compile(rf"\b(?:{'|'.join(sorted(parts, key=len, reverse=True))})", re.IGNORECASE)
