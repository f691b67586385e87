"""Every SQL statement that touches the calls of models, and budgets."""

from collections.abc import Sequence
from dataclasses import fields
from typing import cast
from uuid import UUID

from app.db import Connection
from app.usage.schemas import Budget, BudgetDraft, BudgetOut, Pot, Use

COLUMNS = ", ".join(field.name for field in fields(Use))
PLACES = ", ".join(f"${n}" for n in range(1, len(fields(Use)) + 1))


async def add(conn: Connection, uses: Sequence[Use]) -> None:
    await conn.executemany(
        f"INSERT INTO llm_calls ({COLUMNS}) VALUES ({PLACES})",  # noqa: S608
        [tuple(getattr(use, field.name) for field in fields(Use)) for use in uses],
    )


BUDGET = "id, name, holder, user_id, period, limit_usd, hard_limit_usd, cheaper_model, created_at"
NOBODY = UUID(int=0)
"""The holder of a pot that is everybody's."""


async def budgets(conn: Connection) -> list[Budget]:
    rows = await conn.fetch(f"SELECT {BUDGET} FROM budgets ORDER BY id")  # noqa: S608
    return [Budget.model_validate(dict(row)) for row in rows]


async def budgets_with_pots(conn: Connection) -> list[BudgetOut]:
    rows = await conn.fetch(
        f"""
        SELECT {BUDGET}, coalesce(pot.spent, 0) AS spent_usd, coalesce(pot.reserved, 0) AS reserved_usd
          FROM budgets b LEFT JOIN LATERAL (
               SELECT p.spent_usd AS spent, sum(r.amount_usd) AS reserved
                 FROM budget_pots p
                 LEFT JOIN budget_reservations r
                   ON r.budget_id = p.budget_id AND r.holder_id = p.holder_id
                  AND r.starts_at = p.starts_at AND r.expires_at > now()
                WHERE p.budget_id = b.id AND p.starts_at = date_trunc(b.period, now(), 'UTC')
                GROUP BY p.holder_id, p.spent_usd ORDER BY p.spent_usd DESC LIMIT 1
               ) pot ON true
         ORDER BY id
        """  # noqa: S608
    )
    return [BudgetOut.model_validate(dict(row)) for row in rows]


async def put_budget(conn: Connection, draft: BudgetDraft) -> Budget:
    """Add it, or change the one of that name; what it has come to stays."""
    row = await conn.fetchrow(
        f"""
        INSERT INTO budgets (name, holder, user_id, period, limit_usd, hard_limit_usd, cheaper_model)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (name) DO UPDATE
           SET holder = excluded.holder, user_id = excluded.user_id, period = excluded.period,
               limit_usd = excluded.limit_usd, hard_limit_usd = excluded.hard_limit_usd,
               cheaper_model = excluded.cheaper_model
        RETURNING {BUDGET}
        """,  # noqa: S608
        draft.name,
        draft.holder,
        draft.user_id,
        draft.period,
        draft.limit_usd,
        draft.hard_limit_usd,
        draft.cheaper_model,
    )
    return Budget.model_validate(dict(cast(dict[str, object], row)))


async def remove_budget(conn: Connection, name: str) -> bool:
    return await conn.execute("DELETE FROM budgets WHERE name = $1", name) == "DELETE 1"


WANTED = """
      FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, h)
      JOIN budgets b USING (id)
      JOIN budget_pots p ON p.budget_id = b.id AND p.holder_id = h
                        AND p.starts_at = date_trunc(b.period, now(), 'UTC')
"""


async def lock_pots(conn: Connection, budget_ids: Sequence[UUID], holder_ids: Sequence[UUID]) -> None:
    """The running pots of these budgets and holders, made where missing, in the order of their ids."""
    await conn.execute(
        """
        INSERT INTO budget_pots (budget_id, holder_id, starts_at)
        SELECT b.id, h, date_trunc(b.period, now(), 'UTC')
          FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, h) JOIN budgets b USING (id)
         ORDER BY b.id ON CONFLICT DO NOTHING
        """,
        budget_ids,
        holder_ids,
    )
    await conn.execute(
        f"SELECT {WANTED} ORDER BY p.budget_id FOR UPDATE OF p",
        budget_ids,
        holder_ids,
    )


async def pots(conn: Connection, budget_ids: Sequence[UUID], holder_ids: Sequence[UUID]) -> list[Pot]:
    """What they have come to. A statement of its own: that of the lock saw what was there before its wait."""
    rows = await conn.fetch(
        f"""
        SELECT p.budget_id, p.spent_usd + coalesce((
                   SELECT sum(r.amount_usd) FROM budget_reservations r
                    WHERE (r.budget_id, r.holder_id, r.starts_at) = (p.budget_id, p.holder_id, p.starts_at)
                      AND r.expires_at > now()), 0) AS spent_usd
          {WANTED} ORDER BY p.budget_id
        """,  # noqa: S608
        budget_ids,
        holder_ids,
    )
    return [Pot(**row) for row in rows]


async def reserve(
    conn: Connection,
    call_id: UUID,
    budget_ids: Sequence[UUID],
    holder_ids: Sequence[UUID],
    amount_usd: float,
    for_s: float,
) -> None:
    await conn.execute(
        """
        INSERT INTO budget_reservations (call_id, budget_id, holder_id, starts_at, amount_usd, expires_at)
        SELECT $1, b.id, h, date_trunc(b.period, now(), 'UTC'), $4, now() + make_interval(secs => $5)
          FROM unnest($2::uuid[], $3::uuid[]) AS wanted (id, h) JOIN budgets b USING (id)
        """,
        call_id,
        budget_ids,
        holder_ids,
        amount_usd,
        for_s,
    )


async def settle(conn: Connection, call_id: UUID, cost_usd: float) -> None:
    """What was reserved for the call becomes what it cost, in the period it began in."""
    await conn.execute(
        """
        WITH settled AS (DELETE FROM budget_reservations WHERE call_id = $1 RETURNING *),
             turns AS (SELECT p.* FROM budget_pots p JOIN settled USING (budget_id, holder_id, starts_at)
                        ORDER BY p.budget_id FOR UPDATE OF p)
        UPDATE budget_pots p SET spent_usd = p.spent_usd + $2
          FROM turns WHERE (p.budget_id, p.holder_id, p.starts_at)
                           = (turns.budget_id, turns.holder_id, turns.starts_at)
        """,
        call_id,
        cost_usd,
    )
