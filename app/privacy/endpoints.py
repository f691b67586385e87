"""Everything about a person, to take away or to have erased: by themselves, or by an administrator."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from app import streaming
from app.auth.access import CurrentSessions, SignedIn
from app.auth.users import LastAdmin, UserNotFound
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.privacy import export, service
from app.privacy.schemas import Erasure, Erasures, OwnErasure
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1", tags=["privacy"], responses=documented(Unauthorised, Invalid, Unavailable)
)
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/users/me/export", response_class=StreamingResponse, responses=ZIP)
async def own_export(who: SignedIn, state: Current) -> StreamingResponse:
    """Everything the desk has about you: a zip archive of JSON files."""
    return await _archive(state, who.id, internal=False)


@router.post("/users/me/erasure", status_code=202, responses=documented(service.NotConfirmed, Forbidden))
async def own_erasure(body: OwnErasure, who: SignedIn, state: Current, sessions: CurrentSessions) -> Erasure:
    """Have everything about you erased. You are signed out at once; nobody can take this back."""
    receipt = await service.erase_oneself(state.pool, who, body.email)
    sessions.forget()
    return receipt


@router.get(
    "/users/{user_id}/export",
    response_class=StreamingResponse,
    responses=ZIP | documented(Forbidden, UserNotFound),
)
async def export_of(user_id: UUID, who: SignedIn, state: Current) -> StreamingResponse:
    """Everything the desk has about somebody, agents' internal notes included. For administrators."""
    await service.may_export(state, who, user_id)
    return await _archive(state, user_id, internal=True)


@router.post(
    "/users/{user_id}/erasure",
    status_code=202,
    responses=documented(Forbidden, UserNotFound, LastAdmin),
)
async def erase(
    user_id: UUID, who: SignedIn, state: Current, sessions: CurrentSessions, response: Response
) -> Erasure:
    """Erase somebody: they are signed out at once, their data follows. Asking twice changes nothing."""
    receipt = await service.erase(state.pool, who, user_id)
    sessions.forget()
    response.headers["Location"] = f"{router.prefix}/admin/erasures/{receipt.id}"
    return receipt


@router.get("/admin/erasures", responses=documented(Forbidden))
async def receipts(
    who: SignedIn,
    conn: Transaction,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Erasures:
    """Receipts, newest first. For administrators."""
    items, last = await service.page(conn, who, cursor, limit)
    return Erasures(items=items, next_cursor=str(last) if last else None)


@router.get("/admin/erasures/{erasure_id}", responses=documented(Forbidden, service.ErasureNotFound))
async def receipt(erasure_id: UUID, who: SignedIn, conn: Transaction) -> Erasure:
    return await service.get(conn, who, erasure_id)


async def _archive(state: Current, person_id: UUID, *, internal: bool) -> StreamingResponse:
    parts = await streaming.primed(export.archive(state, person_id, internal=internal))
    headers = {"Content-Disposition": f'attachment; filename="person-{person_id}.zip"'}
    return StreamingResponse(parts, media_type="application/zip", headers=headers)
