"""Solved cases: what a ticket was solved by, what may solve it, and what is taken back. For staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.auth.access import SignedIn
from app.cases import service
from app.cases.schemas import Case, Cases, LinkDraft, Suggestions
from app.cases.service import CaseNotFound, CasesAreForStaff, LinkNotFound
from app.errors import Invalid, Unauthorised, Unavailable, documented
from app.knowledge.service import ArticleNotFound
from app.state import Current, Transaction
from app.tickets.service import TicketNotFound

router = APIRouter(
    prefix="/api/v1",
    tags=["cases"],
    responses=documented(Unauthorised, CasesAreForStaff, Invalid, Unavailable),
)

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]


@router.get("/tickets/{ticket_id}/suggestions", responses=documented(TicketNotFound))
async def suggestions(ticket_id: UUID, who: SignedIn, state: Current) -> Suggestions:
    """Articles that may solve the ticket, and cases like it that were solved before."""
    return await service.suggestions(state, who, ticket_id)


@router.post(
    "/tickets/{ticket_id}/articles", status_code=201, responses=documented(TicketNotFound, ArticleNotFound)
)
async def link(ticket_id: UUID, draft: LinkDraft, who: SignedIn, conn: Transaction) -> Case:
    """Say that this article solves the ticket. It is learnt from once the ticket is resolved or closed."""
    return await service.link(conn, who, ticket_id, draft)


@router.delete(
    "/tickets/{ticket_id}/articles/{article_id}",
    status_code=204,
    responses=documented(TicketNotFound, LinkNotFound),
)
async def unlink(ticket_id: UUID, article_id: UUID, who: SignedIn, conn: Transaction) -> None:
    await service.unlink(conn, who, ticket_id, article_id)


@router.get("/knowledge/cases")
async def cases(who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50) -> Cases:
    """What searches learn from, newest first."""
    items, following = await service.page(conn, who, cursor, limit)
    return Cases(items=items, next_cursor=following)


@router.get("/knowledge/cases/{case_id}", responses=documented(CaseNotFound))
async def case(case_id: UUID, who: SignedIn, conn: Transaction) -> Case:
    return await service.get(conn, who, case_id)


@router.delete("/knowledge/cases/{case_id}", status_code=204, responses=documented(CaseNotFound))
async def forget(case_id: UUID, who: SignedIn, conn: Transaction) -> None:
    """Delete a case with its question and its links."""
    await service.forget(conn, who, case_id)


@router.delete(
    "/knowledge/cases/{case_id}/links/{article_id}",
    status_code=204,
    responses=documented(CaseNotFound, LinkNotFound),
)
async def revoke(case_id: UUID, article_id: UUID, who: SignedIn, conn: Transaction) -> None:
    """Take a wrong link back: it has no vote from the next search on."""
    await service.revoke(conn, who, case_id, article_id)
