"""/api/v1/admin/answers. For administrators."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from app.answers import service
from app.answers.schemas import KeptAnswers, Replayed
from app.answers.service import AskerGone, KeptAnswerNotFound
from app.auth.access import SignedIn
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.llm.schemas import KeptAnswer
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1/admin/answers",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


@router.get("")
async def answers(
    who: SignedIn,
    conn: Transaction,
    outcome: Annotated[Literal["answered", "abstained", "degraded", "interrupted"] | None, Query()] = None,
    helpful: Annotated[bool | None, Query(description="by the reader's verdict")] = None,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> KeptAnswers:
    """Every answer of the assistant as it was made, newest first."""
    items, last = await service.page(conn, who, cursor, limit, outcome=outcome, helpful=helpful)
    return KeptAnswers(items=items, next_cursor=str(last) if last else None)


@router.get("/{answer_id}", responses=documented(KeptAnswerNotFound))
async def answer(answer_id: UUID, who: SignedIn, conn: Transaction) -> KeptAnswer:
    return await service.get(conn, who, answer_id)


@router.post("/{answer_id}/replay", responses=documented(KeptAnswerNotFound, AskerGone))
async def replay(answer_id: UUID, who: SignedIn, state: Current) -> Replayed:
    """Ask its question again, of the index, prompt and models of today, and say what changed."""
    return await service.replay(state, who, answer_id)
