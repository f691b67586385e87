"""POST /api/v1/auth/token, /refresh, /logout; /api/v1/users."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import OAuth2PasswordRequestForm

from app.auth import users
from app.auth.access import CurrentSessions, SignedIn
from app.auth.schemas import PasswordChange, RefreshRequest, TokenPair, UserDraft, UserOut, UserPatch, Users
from app.errors import Forbidden, Invalid, TooManyRequests, Unauthorised, Unavailable, documented
from app.limits.requests import CurrentLimits, limited_by_address
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1",
    tags=["access"],
    responses=documented(Unauthorised, Invalid, TooManyRequests, Unavailable),
)
ANYBODY = [Depends(limited_by_address)]


@router.post("/auth/token", dependencies=ANYBODY)
async def sign_in(
    request: Request,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    sessions: CurrentSessions,
    limits: CurrentLimits,
) -> TokenPair:
    """Sign in with the OAuth2 password form (`username` is the e-mail address)."""
    return await sessions.sign_in(form.username, form.password, limits.address(request))


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
    return await users.own_account(conn, who)


@router.put("/users/me/password", status_code=204, responses=documented(users.PasswordWrong))
async def change_password(
    request: Request,
    wish: PasswordChange,
    who: SignedIn,
    sessions: CurrentSessions,
    state: Current,
    limits: CurrentLimits,
) -> None:
    """Set a new password; every login ends, also this one when its access token does.

    API keys stay: they were made without it, and programs run on them. Revoke those that you do not know.
    """
    await users.change_password(state.pool, sessions, who, wish, limits.address(request))


@router.get("/users", responses=documented(Forbidden))
async def page(
    who: SignedIn,
    conn: Transaction,
    cursor: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Users:
    """All users, oldest first; for administrators."""
    items, last = await users.page(conn, who, cursor, limit)
    return Users(items=items, next_cursor=str(last) if last else None)


@router.post("/users", status_code=201, responses=documented(Forbidden, users.EmailTaken))
async def add(
    draft: UserDraft, who: SignedIn, sessions: CurrentSessions, state: Current, response: Response
) -> UserOut:
    """Make a user; for administrators."""
    made = await users.add(state.pool, sessions.passwords, who, draft)
    response.headers["Location"] = f"/api/v1/users/{made.id}"
    return made


@router.get("/users/{user_id}", responses=documented(Forbidden, users.UserNotFound))
async def user(user_id: UUID, who: SignedIn, conn: Transaction) -> UserOut:
    """Yourself, or for administrators anybody."""
    return await users.read(conn, who, user_id)


@router.patch(
    "/users/{user_id}",
    responses=documented(Forbidden, users.UserNotFound, users.LastAdmin, users.AccountErased),
)
async def change(
    user_id: UUID, patch: UserPatch, who: SignedIn, sessions: CurrentSessions, state: Current
) -> UserOut:
    """Change name, role or password, or disable somebody, who is then signed out everywhere.

    Another password ends logins; API keys end when somebody is disabled. For administrators.
    """
    changed = await users.change(state.pool, sessions.passwords, who, user_id, patch)
    sessions.forget()
    return changed
