"""Budgets as administrators see them; who may is for the endpoints to say."""

import asyncpg

from app.db import Connection
from app.errors import Invalid
from app.usage import repository
from app.usage.schemas import Budget, BudgetDraft, BudgetOut
from monitoring import metrics


class UnknownHolder(Invalid):
    """There is no user of that id."""


async def budgets(conn: Connection) -> list[BudgetOut]:
    return await repository.budgets_with_pots(conn)


async def put_budget(conn: Connection, draft: BudgetDraft) -> Budget:
    try:
        return await repository.put_budget(conn, draft)
    except asyncpg.ForeignKeyViolationError as error:
        raise UnknownHolder(param="user_id") from error


async def remove_budget(conn: Connection, name: str) -> bool:
    return await repository.remove_budget(conn, name)


async def gauge(conn: Connection) -> None:
    """Set the gauges of the budgets as they are now."""
    for budget in await repository.budgets_with_pots(conn):
        if budget.limit_usd > 0:
            spent = (budget.spent_usd + budget.reserved_usd) / budget.limit_usd
            metrics.LLM_BUDGET.set(spent, budget=budget.name)
