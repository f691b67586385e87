"""What is kept of an answer that a caller took straight from a model."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from models.llm.protocol import Call


@dataclass(frozen=True, slots=True)
class Use:
    """One row of `llm_calls`, in its order."""

    user_id: UUID
    asked: str
    model: str
    provider: str
    outcome: str
    streamed: bool
    attempts: list[dict[str, Any]]
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    cost_usd: float
    first_token_ms: float | None
    total_ms: float
    created_at: datetime


def use_of(call: Call, user_id: UUID, asked: str, *, streamed: bool) -> Use | None:
    """`None` where no provider was asked."""
    if not call.attempts:
        return None
    last = call.attempts[-1]
    return Use(
        user_id=user_id,
        asked=asked,
        model=last.model,
        provider=last.provider,
        outcome=last.outcome,
        streamed=streamed,
        attempts=[asdict(attempt) for attempt in call.attempts],
        prompt_tokens=call.usage.prompt_tokens,
        completion_tokens=call.usage.completion_tokens,
        estimated=call.estimated,
        cost_usd=call.cost_usd,
        first_token_ms=last.first_token_ms,
        total_ms=sum(attempt.total_ms or 0.0 for attempt in call.attempts),
        created_at=datetime.now(UTC),
    )
