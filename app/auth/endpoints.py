"""POST /api/v1/auth/token, /refresh, /logout; GET /api/v1/users."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.security import OAuth2PasswordRequestForm

from app.auth import service
from app.auth.access import CurrentSessions, SignedIn
from app.auth.schemas import RefreshRequest, TokenPair, UserOut, Users
from app.limits.requests import limited_by_address
from app.state import Transaction

router = APIRouter(prefix="/api/v1", tags=["access"])
ANYBODY = [Depends(limited_by_address)]


@router.post("/auth/token", dependencies=ANYBODY)
async def sign_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], sessions: CurrentSessions
) -> TokenPair:
    """Sign in with the OAuth2 password form (`username` is the e-mail address)."""
    return await sessions.sign_in(form.username, form.password)


@router.post("/auth/refresh", dependencies=ANYBODY)
async def refresh(body: RefreshRequest, sessions: CurrentSessions) -> TokenPair:
    """Trade a refresh token for a new pair; each can be used once."""
    return await sessions.refresh(body.refresh_token)


@router.post("/auth/logout", status_code=204, dependencies=ANYBODY)
async def sign_out(body: RefreshRequest, sessions: CurrentSessions) -> None:
    """Revoke the login that this refresh token belongs to."""
    await sessions.sign_out(body.refresh_token)


@router.get("/users/me")
async def me(who: SignedIn, conn: Transaction) -> UserOut:
    return await service.own_account(conn, who)


@router.get("/users")
async def users(
    who: SignedIn,
    conn: Transaction,
    cursor: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Users:
    """All users, oldest first; for administrators."""
    items, last = await service.list_users(conn, who, cursor, limit)
    return Users(items=items, next_cursor=str(last) if last else None)
