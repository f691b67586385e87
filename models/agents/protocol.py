"""What the assistant says while it answers, wherever it runs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from models.retrieval.passages import Filters

Role: TypeAlias = Literal["user", "assistant"]
Outcome: TypeAlias = Literal["answered", "abstained", "degraded", "interrupted"]
EventKind: TypeAlias = Literal["meta", "delta", "citation", "tool", "restart", "handoff", "error", "done"]


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, what was said before it, oldest first, and what its asker may read."""

    content: str
    history: tuple[Turn, ...] = ()
    filters: Filters = field(default_factory=Filters)
    max_tokens: int | None = None
    may_restart: bool = True
    """Whether the reader can be told to forget what came so far."""
    model: str | None = None
    """What to answer with; `None` for the default."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `data` is JSON as DESIGN names it for that `kind`."""

    kind: EventKind
    data: dict[str, Any] = field(default_factory=dict)


class Assistant(Protocol):
    def answer(self, question: Question) -> AsyncIterator[Event]:
        """Events from `meta` to `done`; what cannot be answered still ends with `done`."""
        ...
