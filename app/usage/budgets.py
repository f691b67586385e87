"""Budgets: reserve what an answer may cost before it begins, settle what it did cost afterwards.

Reserved and checked in one transaction that locks the pots, so that callers at once cannot overdraw one
together. Without budgets, and for models without a price, nothing is asked of PostgreSQL. While PostgreSQL is
away nobody's budget can be asked: priced models are then refused with 503, free ones answer.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog
from anyio import CancelScope

from app import db
from app.errors import ServiceError
from app.usage import repository
from app.usage.schemas import Budget
from monitoring.failures import told

log = structlog.get_logger(__name__)

EVERY_S = 1.0
RESERVED_FOR_S = 300.0


class BudgetSpent(ServiceError):
    """The budget for answers is spent; it begins anew with its next period."""

    status = 402


@dataclass(slots=True)
class Reservation:
    """`model` is what to ask: the one wanted, or a cheaper one.

    Set `cost_usd` before the end: an answer that nobody knows the cost of counts as what was reserved.
    """

    model: str
    cost_usd: float = 0.0


class Book:
    """The budgets that there are, as of the last second."""

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._budgets: Sequence[Budget] = ()

    async def look(self) -> None:
        async with db.transaction(self._pool) as conn:
            self._budgets = await repository.budgets(conn)

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # the budgets known last stay in force
                log.warning("cannot look for budgets", problem=told(error))
            await asyncio.sleep(EVERY_S)

    @asynccontextmanager
    async def reserve(self, user_id: UUID, model: str, most_usd: float) -> AsyncIterator[Reservation]:
        """Around one answer that costs `most_usd` at most; `BudgetSpent` where a hard limit is reached."""
        budgets = [b for b in self._budgets if b.user_id in {None, user_id}]
        if not budgets or most_usd <= 0:
            yield Reservation(model)
            return
        call_id = uuid.uuid4()
        reservation = await self._reserved(call_id, budgets, user_id, model, most_usd)
        try:
            yield reservation
        finally:
            with CancelScope(shield=True):
                await self._settle(call_id, reservation.cost_usd)

    async def _reserved(
        self, call_id: UUID, budgets: Sequence[Budget], user_id: UUID, model: str, most_usd: float
    ) -> Reservation:
        ids = [budget.id for budget in budgets]
        holders = [user_id if b.holder == "each_user" else repository.NOBODY for b in budgets]
        by_id = {budget.id: budget for budget in budgets}
        async with db.transaction(self._pool) as conn:
            await repository.lock_pots(conn, ids, holders)
            for pot in await repository.pots(conn, ids, holders):
                budget = by_id[pot.budget_id]
                if pot.spent_usd >= budget.limit_usd:
                    _refuse_if_spent(budget, pot.spent_usd)
                    model = budget.cheaper_model or model
            await repository.reserve(conn, call_id, ids, holders, most_usd, RESERVED_FOR_S)
        return Reservation(model, most_usd)

    async def _settle(self, call_id: UUID, cost_usd: float) -> None:
        try:
            async with db.transaction(self._pool) as conn:
                await repository.settle(conn, call_id, cost_usd)
        except db.DatabaseDown:  # it counts as reserved until it expires
            log.error("an answer could not be settled", call_id=str(call_id), cost_usd=cost_usd)


def _refuse_if_spent(budget: Budget, spent_usd: float) -> None:
    ceiling = budget.hard_limit_usd if budget.cheaper_model else budget.limit_usd
    if spent_usd >= ceiling:
        raise BudgetSpent(
            f"The budget {budget.name!r} of ${ceiling:g} a {budget.period} is spent; "
            f"it begins anew with the next {budget.period} (UTC).",
            budget=budget.name,
        )
