"""Kept answers on the wire."""

from pydantic import BaseModel, Field

from app.llm.schemas import KeptAnswer


class KeptAnswers(BaseModel):
    items: list[KeptAnswer]
    next_cursor: str | None = None


class Replay(BaseModel):
    """The same question asked again, of the index, prompt and models of today."""

    answer: str
    outcome: str
    model: str
    prompt_version: str
    citations: list[str] = Field(description="ids of passages")
    passages_kept: list[str] = Field(description="ids of passages used then and now")
    passages_new: list[str]
    passages_gone: list[str]
    latency_ms: dict[str, float]
    cost_usd: float
    same_text: bool


class Replayed(BaseModel):
    before: KeptAnswer
    now: Replay
