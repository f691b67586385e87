"""/api/v1/admin/triage. Supervisors look, admins decide."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.auth.access import SignedIn
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.state import Transaction
from app.triage import drift, labels, service
from app.triage.labels import LabelNotFound, LabelWithoutQueue
from app.triage.schemas import (
    Drift,
    LabelDraft,
    LabelName,
    NewLabel,
    NewLabels,
    Promotion,
    Standing,
    Version,
    Versions,
)
from app.triage.service import IsActive, NothingBefore, NotProven, TriageVersionNotFound

router = APIRouter(
    prefix="/api/v1/admin/triage",
    tags=["triage"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)
ONE = documented(TriageVersionNotFound)

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]


@router.get("/versions")
async def versions(who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50) -> Versions:
    """Newest first, with their figures and the fingerprint of what they were learnt from."""
    items, following = await service.page(conn, who, cursor, limit)
    return Versions(items=items, next_cursor=following)


@router.get("/versions/{version_id}", responses=ONE)
async def version(version_id: UUID, who: SignedIn, conn: Transaction) -> Version:
    return await service.get(conn, who, version_id)


@router.get("/versions/{version_id}/standing", responses=ONE)
async def standing(version_id: UUID, who: SignedIn, conn: Transaction) -> Standing:
    """How it does against the active version on tickets that both read before a person corrected them."""
    return await service.standing(conn, who, version_id)


@router.post("/versions/{version_id}/shadow", responses=ONE | documented(IsActive))
async def shadow(version_id: UUID, who: SignedIn, conn: Transaction) -> Version:
    """Let it read every new ticket beside the active version. What it says is kept and decides nothing."""
    return await service.cast_shadow(conn, who, version_id)


@router.post("/versions/{version_id}/promote", responses=ONE | documented(NotProven))
async def promote(version_id: UUID, wish: Promotion, who: SignedIn, conn: Transaction) -> Version:
    """Make it the version that decides. It must have won on the newest tickets, or there must be a reason."""
    return await service.promote(conn, who, version_id, without_proof=wish.without_proof)


@router.post("/rollback", responses=documented(NothingBefore))
async def rollback(who: SignedIn, conn: Transaction) -> Version:
    """Put back the version that was active before; which one that is, is the answer."""
    return await service.roll_back(conn, who)


@router.post("/retrain", status_code=202)
async def retrain(who: SignedIn, conn: Transaction) -> None:
    """Learn from the corrections now instead of tonight; a version comes of it where there are enough."""
    await service.ask_to_retrain(conn, who)


@router.get("/drift")
async def watched(
    who: SignedIn, conn: Transaction, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Drift:
    """Day by day: inputs, confidence, labels and people's corrections, against the days before."""
    return Drift(items=await drift.days(conn, who, limit))


@router.get("/labels")
async def announced(who: SignedIn, conn: Transaction) -> NewLabels:
    """Labels that were announced; until they have examples an LLM is asked about them."""
    return NewLabels(items=await labels.announced(conn, who))


@router.put("/labels/{name}", responses=documented(LabelWithoutQueue))
async def announce(name: LabelName, draft: LabelDraft, who: SignedIn, conn: Transaction) -> NewLabel:
    """Announce a label that has no examples yet, or say anew what it means."""
    return await labels.announce(conn, who, name, draft)


@router.delete("/labels/{name}", status_code=204, responses=documented(LabelNotFound))
async def withdraw(name: LabelName, who: SignedIn, conn: Transaction) -> None:
    await labels.withdraw(conn, who, name)
