"""Every SQL statement that touches the answers kept."""

from typing import Any
from uuid import UUID

from app.db import Connection


async def keep_answer(
    conn: Connection,
    *,
    user_id: UUID,
    message_id: UUID | None,
    question: str,
    answer: str,
    record: dict[str, Any],
) -> None:
    """Keep an answer as it was made; `record` is the data of its `done` event."""
    last = record["attempts"][-1] if record["attempts"] else {"provider": "none", "model": "none"}
    await conn.execute(
        """
        INSERT INTO ai_responses (message_id, user_id, prompt_version, model, provider, question, answer,
                                  outcome, passages, attempts, latency_ms, prompt_tokens, completion_tokens,
                                  cost_usd)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        message_id,
        user_id,
        record["prompt_version"],
        last["model"],
        last["provider"],
        question,
        answer,
        record["outcome"],
        record["passages"],
        record["attempts"],
        record["latency_ms"],
        record["usage"]["prompt_tokens"],
        record["usage"]["completion_tokens"],
        record["cost_usd"],
    )
