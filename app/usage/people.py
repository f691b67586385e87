"""Every SQL statement about what one person asked of models, and the budgets that are theirs alone."""

from uuid import UUID

from app.db import Connection
from app.holdings import Counts, Holdings, Part, by

CALLS = Part(
    "model-calls",
    """
    SELECT id, asked, model, provider, outcome, prompt_tokens, completion_tokens, cost_usd, created_at
      FROM llm_calls
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
)
BUDGETS = Part(
    "budgets",
    """
    SELECT id, name, period, limit_usd, hard_limit_usd, created_at FROM budgets
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    """Calls hold no text and stay, for what models cost; a budget's name may be the person's."""
    rows = await conn.fetch("DELETE FROM budgets WHERE user_id = $1 RETURNING id", person)
    return {"budgets": len(rows)}


UNNAME = """
WITH old AS (
    SELECT id FROM llm_calls
     WHERE user_id IS NOT NULL AND created_at < now() - make_interval(days => $1)
     ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE llm_calls c SET user_id = NULL FROM old WHERE c.id = old.id RETURNING c.id
"""

HOLDINGS = Holdings((CALLS, BUDGETS), _forget, {"model_calls": by(UNNAME)})
