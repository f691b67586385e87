"""Every SQL statement about the answers kept of one person's questions. The key takes them along."""

from uuid import UUID

from app.db import Connection
from app.holdings import EXPIRED, Counts, Holdings, Part, by
from app.llm.sealed import ANSWER, QUESTION

ANSWERS = Part(
    "kept-answers",
    """
    SELECT id, message_id, question, answer, outcome, model, provider, passages, prompt_tokens,
           completion_tokens, cost_usd, created_at
      FROM ai_responses
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
    sealed={"question": QUESTION, "answer": ANSWER},
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    count = await conn.fetchval("SELECT count(*) FROM ai_responses WHERE user_id = $1", person)
    return {"kept_answers": count}


EMPTY = f"""
WITH old AS (
    SELECT id FROM ai_responses
     WHERE emptied_at IS NULL AND created_at < now() - make_interval(days => $1)
     ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE ai_responses a SET question = {EXPIRED}, answer = {EXPIRED}, emptied_at = now()
  FROM old WHERE a.id = old.id RETURNING a.id
"""  # noqa: S608

HOLDINGS = Holdings((ANSWERS,), _forget, {"kept_answers": by(EMPTY)})
