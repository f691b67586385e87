"""What one attempt at one provider leaves in metrics and traces (OpenTelemetry's GenAI conventions)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from opentelemetry.trace import SpanKind

from models.llm.protocol import Attempt, Chunk
from monitoring import metrics, tracing
from monitoring.tracing import Span, Value

WELL = frozenset({"answered", "abandoned"})


def observed(
    provider: str, model: str, attempts: Sequence[Attempt], chunks: AsyncIterator[Chunk]
) -> AsyncIterator[Chunk]:
    """`chunks` of a new attempt, which is the last of `attempts` once they are read."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "eservice.attempt": len(attempts) + 1,
    }

    async def watched(span: Span) -> AsyncIterator[Chunk]:
        earlier = len(attempts)
        try:
            async with aclosing(cast(Any, chunks)) as read:
                async for chunk in read:
                    yield chunk
        finally:
            if len(attempts) > earlier:
                _record(attempts, span)

    return tracing.stream(f"chat {model}", watched, attributes, kind=SpanKind.CLIENT)


def _record(attempts: Sequence[Attempt], span: Span) -> None:
    attempt = attempts[-1]
    who = {"provider": attempt.provider, "model": attempt.model}
    metrics.LLM_REQUEST.observe((attempt.total_ms or 0) / 1000, outcome=attempt.outcome, **who)
    if attempt.first_token_ms is not None:
        metrics.LLM_FIRST_TOKEN.observe(attempt.first_token_ms / 1000, **who)
        span.set(gen_ai__response__time_to_first_chunk=attempt.first_token_ms / 1000)
    metrics.LLM_TOKENS.add(attempt.usage.prompt_tokens, kind="prompt", **who)
    metrics.LLM_TOKENS.add(attempt.usage.completion_tokens, kind="completion", **who)
    metrics.LLM_COST.add(attempt.cost_usd, **who)
    before = attempts[-2] if len(attempts) > 1 else attempt
    if before.provider != attempt.provider:
        metrics.LLM_FAILOVERS.add(failed=before.provider, to=attempt.provider)
    span.set(
        eservice__outcome=attempt.outcome,
        gen_ai__usage__input_tokens=attempt.usage.prompt_tokens,
        gen_ai__usage__output_tokens=attempt.usage.completion_tokens,
    )
    if attempt.outcome not in WELL:
        span.fail(attempt.outcome)
