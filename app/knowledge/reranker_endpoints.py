"""/api/v1/knowledge/rerankers: those trained on solved cases, which one answers, and the way back."""

from uuid import UUID

from fastapi import APIRouter

from app.auth.access import SignedIn
from app.auth.schemas import Identity
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.knowledge import rerankers
from app.knowledge.rerankers import RerankerHasNotWon, RerankerNotFound
from app.knowledge.schemas import RerankerPromotion, Rerankers, RerankerVersion
from app.state import Transaction

router = APIRouter(
    prefix="/api/v1/knowledge/rerankers",
    tags=["knowledge"],
    responses=documented(Unauthorised, Invalid, Unavailable),
)


class RerankersAreForStaff(Forbidden):
    """Only agents, supervisors and administrators may see the rerankers."""


class RerankersAreForAdmins(Forbidden):
    """Only administrators may promote rerankers and retire them."""


@router.get("", responses=documented(RerankersAreForStaff))
async def trained_rerankers(who: SignedIn, conn: Transaction) -> Rerankers:
    """The newest fifty, and how each did on cases that are newer than what it learnt."""
    if not who.is_staff:
        raise RerankersAreForStaff
    return Rerankers(items=await rerankers.newest(conn, 50))


@router.post(
    "/{version_id}/promote", responses=documented(RerankersAreForAdmins, RerankerNotFound, RerankerHasNotWon)
)
async def promote_reranker(
    version_id: UUID, who: SignedIn, conn: Transaction, body: RerankerPromotion | None = None
) -> RerankerVersion:
    """Let this one rerank; searches follow within seconds."""
    _admin_only(who)
    return await rerankers.promote(conn, version_id, without_proof=bool(body and body.without_proof))


@router.delete("/active", status_code=204, responses=documented(RerankersAreForAdmins))
async def retire_reranker(who: SignedIn, conn: Transaction) -> None:
    """Search as the profile says again, within seconds."""
    _admin_only(who)
    await rerankers.retire(conn)


def _admin_only(who: Identity) -> None:
    if who.role != "admin":
        raise RerankersAreForAdmins
