"""/api/v1/knowledge/indexes: versions of the index, from building to promotion and back."""

from fastapi import APIRouter

from app.auth.access import SignedIn
from app.errors import Invalid, Unauthorised, Unavailable, documented
from app.knowledge import promotion, service
from app.knowledge.promotion import (
    BuildUnderWay,
    IndexInUse,
    IndexNotFound,
    IndexNotReady,
    NothingToReturnTo,
)
from app.knowledge.schemas import GateQuestions, Index, IndexDraft, Indexes, Promotion
from app.knowledge.service import IndexesAreForAdmins, IndexesAreForStaff
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1/knowledge/indexes",
    tags=["knowledge"],
    responses=documented(Unauthorised, Invalid, Unavailable),
)


@router.get("", responses=documented(IndexesAreForStaff))
async def indexes(who: SignedIn, conn: Transaction) -> Indexes:
    """How the knowledge base is cut and embedded; for staff."""
    return Indexes(items=await service.indexes(conn, who))


@router.post("", status_code=202, responses=documented(IndexesAreForAdmins, BuildUnderWay))
async def build_index(body: IndexDraft, who: SignedIn, conn: Transaction, state: Current) -> Index:
    """Build a version with another embedder or chunker beside the one that answers; GET shows how it goes."""
    return await service.begin_build(conn, who, state.profile, body)


@router.post("/rollback", responses=documented(IndexesAreForAdmins, NothingToReturnTo))
async def roll_back(who: SignedIn, conn: Transaction) -> Index:
    """Return to the version that answered before; readers follow within a second."""
    service.require_admin(who)
    return await promotion.roll_back(conn)


@router.put("/questions", status_code=204, responses=documented(IndexesAreForAdmins))
async def store_questions(body: GateQuestions, who: SignedIn, conn: Transaction) -> None:
    """Questions with known answers, which every new version has to answer no worse than the last."""
    await service.store_questions(conn, who, body)


@router.post("/{name}/promote", responses=documented(IndexesAreForAdmins, IndexNotFound, IndexNotReady))
async def promote(name: str, who: SignedIn, conn: Transaction, body: Promotion | None = None) -> Index:
    """Let this version answer; readers follow within a second, the one before stands by."""
    service.require_admin(who)
    return await promotion.promote(conn, name, force=bool(body and body.force))


@router.delete(
    "/{name}", status_code=204, responses=documented(IndexesAreForAdmins, IndexNotFound, IndexInUse)
)
async def delete_index(name: str, who: SignedIn, conn: Transaction) -> None:
    service.require_admin(who)
    await promotion.remove(conn, name)
