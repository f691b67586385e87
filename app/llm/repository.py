"""Every SQL statement that touches the answers kept. Question and answer are sealed under the asker's key."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from app.db import Connection
from app.llm.schemas import KeptAnswer
from app.llm.sealed import ANSWER, OWNER, QUESTION
from app.vault import service as vault

KEPT = f"""
    a.id, message_id, user_id, {OWNER} AS owner,
    prompt_version, model, provider, question, answer, outcome, passages, attempts,
    latency_ms, prompt_tokens, completion_tokens, usage_estimated, cost_usd, a.created_at, helpful
"""


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
    sealed = await vault.seal_all(conn, user_id, [(QUESTION, question), (ANSWER, answer)])
    last = record["attempts"][-1] if record["attempts"] else {"provider": "none", "model": "none"}
    await conn.execute(
        """
        INSERT INTO ai_responses (message_id, user_id, prompt_version, model, provider, question, answer,
                                  outcome, passages, attempts, latency_ms, prompt_tokens, completion_tokens,
                                  cost_usd, usage_estimated)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        message_id,
        user_id,
        record["prompt_version"],
        last["model"],
        last["provider"],
        *sealed,
        record["outcome"],
        record["passages"],
        record["attempts"],
        record["latency_ms"],
        record["usage"]["prompt_tokens"],
        record["usage"]["completion_tokens"],
        record["cost_usd"],
        record.get("usage_estimated", False),
    )


async def kept_answers(
    conn: Connection, before: UUID | None, limit: int, *, outcome: str | None, helpful: bool | None
) -> list[KeptAnswer]:
    """Newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {KEPT} FROM ai_responses a LEFT JOIN message_feedback f USING (message_id)
         WHERE ($1::uuid IS NULL OR a.id < $1) AND ($3::text IS NULL OR outcome = $3)
           AND ($4::boolean IS NULL OR helpful = $4)
         ORDER BY a.id DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
        outcome,
        helpful,
    )
    return await _opened(conn, rows)


async def kept_answer(conn: Connection, answer_id: UUID) -> KeptAnswer | None:
    row = await conn.fetchrow(
        f"SELECT {KEPT} FROM ai_responses a LEFT JOIN message_feedback f USING (message_id) WHERE a.id = $1",  # noqa: S608
        answer_id,
    )
    return (await _opened(conn, [row]))[0] if row else None


async def _opened(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[KeptAnswer]:
    fields = {"question": (QUESTION, "owner"), "answer": (ANSWER, "owner")}
    return [KeptAnswer.model_validate(row) for row in await vault.open_rows(conn, rows, fields)]


async def recent(conn: Connection, seconds: float) -> dict[str, float]:
    """Of the last `seconds`: answers, of these abstained and degraded, p95 (ms), tokens, US dollars."""
    row = await conn.fetchrow(
        """
        SELECT count(*)::float8 AS answers,
               (count(*) FILTER (WHERE outcome = 'abstained'))::float8 AS abstained,
               (count(*) FILTER (WHERE outcome = 'degraded'))::float8 AS degraded,
               coalesce(percentile_cont(0.95) WITHIN GROUP (
                   ORDER BY (latency_ms ->> 'total')::float8), 0)::float8 AS p95_ms,
               coalesce(sum(prompt_tokens + completion_tokens), 0)::float8 AS tokens,
               coalesce(sum(cost_usd), 0)::float8 AS cost_usd
          FROM ai_responses
         WHERE created_at > now() - make_interval(secs => $1)
        """,
        seconds,
    )
    return dict(row) if row else {}
