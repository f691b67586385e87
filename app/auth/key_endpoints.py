"""/api/v1/api-keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app import db
from app.auth import api_keys
from app.auth.access import CurrentSessions, SignedIn
from app.auth.api_keys import ApiKeyNotFound, ExpiryPassed, TooManyApiKeys
from app.auth.schemas import ApiKeyDraft, ApiKeyMade, ApiKeys
from app.errors import Forbidden, Invalid, TooManyRequests, Unauthorised, Unavailable, documented
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1/api-keys",
    tags=["access"],
    responses=documented(Unauthorised, Forbidden, Invalid, TooManyRequests, Unavailable),
)


@router.post("", status_code=201, responses=documented(TooManyApiKeys, ExpiryPassed))
async def make(draft: ApiKeyDraft, who: SignedIn, conn: Transaction, response: Response) -> ApiKeyMade:
    """Make a key for a program, which may do what you may within its scopes.

    It is shown in this answer only.
    """
    made = await api_keys.make(conn, who, draft)
    response.headers["Location"] = f"{router.prefix}/{made.id}"
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get("")
async def page(
    who: SignedIn,
    conn: Transaction,
    user_id: Annotated[UUID | None, Query(description="whose; others' are for administrators")] = None,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> ApiKeys:
    """Your keys, newest first, also those revoked."""
    items, last = await api_keys.page(conn, who, user_id, cursor, limit)
    return ApiKeys(items=items, next_cursor=str(last) if last else None)


@router.delete("/{key_id}", status_code=204, responses=documented(ApiKeyNotFound))
async def revoke(key_id: UUID, who: SignedIn, sessions: CurrentSessions, state: Current) -> None:
    """It is refused from now on, by every replica within a second. Administrators may revoke anybody's."""
    async with db.transaction(state.pool) as conn:
        await api_keys.revoke(conn, who, key_id)
    sessions.forget()
