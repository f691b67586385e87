"""/api/v1/admin/budgets. For administrators."""

from fastapi import APIRouter, Response

from app.auth.access import SignedIn
from app.auth.schemas import Identity
from app.errors import Forbidden, Invalid, NotFound, Unauthorised, Unavailable, documented
from app.state import Current, Transaction
from app.usage import service
from app.usage.schemas import Budget, BudgetDraft, Budgets

router = APIRouter(
    prefix="/api/v1/admin/budgets",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


class BudgetNotFound(NotFound):
    """There is no budget of that name."""


@router.get("")
async def budgets(who: SignedIn, conn: Transaction) -> Budgets:
    """Every budget with what it has come to in the running period."""
    _only_for_admins(who)
    return Budgets(items=await service.budgets(conn))


@router.put("/{name}")
async def put(name: str, draft: BudgetDraft, who: SignedIn, conn: Transaction, state: Current) -> Budget:
    """Add a budget, or change its limits; replicas take it up within two seconds."""
    _only_for_admins(who)
    if draft.name != name:
        raise Invalid(f"The path says {name!r}, the body {draft.name!r}.", param="name")
    if draft.cheaper_model and draft.cheaper_model not in state.chat_models.names():
        raise Invalid(f"There is no model or route {draft.cheaper_model!r}.", param="cheaper_model")
    return await service.put_budget(conn, draft)


@router.delete("/{name}", status_code=204, responses=documented(BudgetNotFound))
async def remove(name: str, who: SignedIn, conn: Transaction) -> Response:
    _only_for_admins(who)
    if not await service.remove_budget(conn, name):
        raise BudgetNotFound
    return Response(status_code=204)


def _only_for_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
