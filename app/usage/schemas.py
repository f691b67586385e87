"""What is kept of an answer that a caller took straight from a model, and what answers may cost."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class BudgetDraft(BaseModel):
    """What answers may cost; models without a price are free and always answer."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    holder: Literal["everybody", "each_user", "user"] = Field(
        "everybody", description="one pot for all, one for each user, or one user's"
    )
    user_id: UUID | None = None
    period: Literal["day", "month"] = Field("month", description="it begins anew at midnight UTC")
    limit_usd: float = Field(ge=0, allow_inf_nan=False)
    hard_limit_usd: float = Field(ge=0, allow_inf_nan=False, description="from here on: 402")
    cheaper_model: str | None = Field(
        None, max_length=200, description="a model or route that answers past `limit_usd`"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.holder == "user") != (self.user_id is not None):
            raise ValueError("user_id belongs to holder 'user', and only to that")
        if self.hard_limit_usd < self.limit_usd:
            raise ValueError("hard_limit_usd is at least limit_usd")
        return self


class Budget(BudgetDraft):
    id: UUID
    created_at: datetime


class BudgetOut(Budget):
    """With its pot of the running period; of budgets for each user, the fullest one."""

    spent_usd: float
    reserved_usd: float


class Budgets(BaseModel):
    items: list[BudgetOut]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Pot:
    """What one budget has come to in its running period, reservations included."""

    budget_id: UUID
    spent_usd: float
