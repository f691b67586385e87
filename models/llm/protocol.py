"""What answers a chat, wherever it runs. Requests and chunks are OpenAI's, in their JSON form."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

ChatRequest: TypeAlias = dict[str, Any]
"""The body of OpenAI's POST /chat/completions."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer: text, and OpenAI's chunk it came in; the last one carries `usage`."""

    text: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: Usage | None = None
    restart: bool = False
    """Forget what came so far: the answer begins again, from another provider."""


class ChatProvider(Protocol):
    """One place an answer can come from."""

    @property
    def name(self) -> str: ...

    def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Stream the answer; raises `models.llm.errors.ProviderError` when it cannot."""
        ...

    async def is_up(self) -> bool:
        """Whether it would answer now, as far as can be told without asking it something that costs."""
        ...

    async def close(self) -> None:
        """Let go of the connections it keeps."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider as one replica sees it."""

    up: bool
    circuit: Literal["closed", "open", "half_open"]
    recent_calls: int
    """In the breaker's window."""
    recent_failures: int
    in_use: int
    """Answers under way."""
    waiting: int
    """Callers who wait for a slot."""


@dataclass(slots=True)
class Attempt:
    """One try at one provider, as it is kept with the answer."""

    provider: str
    model: str
    outcome: str = "started"
    first_token_ms: float | None = None
    total_ms: float | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    """What the provider said it took, or what it will have been."""
    estimated: bool = False
    """Whether `usage` is an estimate: one that died in mid-answer says nothing."""
    masked: int = 0
    """Personal values that this provider did not get to see."""
    cost_usd: float = 0.0


class Call(Protocol):
    """An answer under way: iterate it, then read what it took."""

    attempts: list[Attempt]
    usage: Usage
    cost_usd: float
    estimated: bool
    """Whether a part of `usage` and `cost_usd` is an estimate."""

    def __aiter__(self) -> AsyncIterator[Chunk]: ...


class ChatModels(Protocol):
    """Every model there is, each with its chain of providers; `version` says which set of them it is."""

    version: int

    def names(self) -> list[str]: ...

    @property
    def default(self) -> str: ...

    def start(self, request: ChatRequest, *, may_restart: bool = False) -> Call:
        """An answer to `request` from the chain of `request["model"]`; `UnknownModel` if there is none."""
        ...

    def prices(self, model: str) -> tuple[float, float]:
        """The dearest of its chain, in USD per million tokens of prompt and of completion."""
        ...

    async def is_up(self) -> bool:
        """Whether any provider would answer now."""
        ...

    async def statuses(self) -> dict[str, ProviderStatus]:
        """Each provider's, by its name."""
        ...

    async def close(self) -> None: ...
