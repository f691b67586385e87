"""GET /api/v1/auth/oidc and /api/v1/auth/oidc/callback; there where the profile names a provider."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import jwt
from fastapi import APIRouter, Cookie, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app import db
from app.auth import repository
from app.auth.access import CurrentSessions
from app.auth.oidc import Attempt, OpenIdProvider, ProviderDown, SignInRefused, Subject
from app.auth.schemas import TokenPair, User
from app.errors import AccountGone, Invalid, NotFound, TooManyRequests, Unauthorised, documented
from app.limits.requests import limited_by_address
from app.state import Current, State

router = APIRouter(
    prefix="/api/v1/auth/oidc",
    tags=["access"],
    dependencies=[Depends(limited_by_address)],
    responses=documented(Unauthorised, NotFound, Invalid, TooManyRequests, ProviderDown),
)

COOKIE = "eservice_oidc"
LASTS = timedelta(minutes=10)
ISSUER = "eservice-oidc"


class NoProvider(NotFound):
    """Signing in elsewhere is not set up here; use /api/v1/auth/token."""


class EmailUnverified(Unauthorised):
    """The sign-in provider has not verified your e-mail address."""


def provider(request: Request) -> OpenIdProvider:
    found = cast(OpenIdProvider | None, request.app.state.oidc)
    if found is None:
        raise NoProvider
    return found


CurrentProvider = Annotated[OpenIdProvider, Depends(provider)]


@router.get("", status_code=302, response_class=Response)
async def start(there: CurrentProvider, sessions: CurrentSessions) -> Response:
    """Send the browser to the provider; what ties its answer to this browser stays in a signed cookie."""
    attempt = Attempt.new()
    answer = RedirectResponse(await there.authorisation_url(attempt), 302)
    ticket = sessions.tokens.sign(
        {
            "iss": ISSUER,
            "exp": datetime.now(UTC) + LASTS,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
        }
    )
    answer.set_cookie(
        COOKIE,
        ticket,
        max_age=int(LASTS.total_seconds()),
        path=router.prefix,
        secure=there.settings.redirect_uri.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get("/callback")
async def finish(
    there: CurrentProvider,
    sessions: CurrentSessions,
    state: Current,
    response: Response,
    code: Annotated[str, Query(min_length=1, max_length=2048)],
    returned: Annotated[str, Query(alias="state", min_length=1, max_length=200)],
    ticket: Annotated[str | None, Cookie(alias=COOKIE, max_length=2048)] = None,
) -> TokenPair:
    """The provider sends the browser here; answers like /auth/token."""
    attempt = _attempt(sessions, ticket)
    if not secrets.compare_digest(returned.encode(), attempt.state.encode()):
        raise SignInRefused
    user = await _user(state, there, await there.redeem(code, attempt))
    response.delete_cookie(COOKIE, path=router.prefix)
    response.headers["Cache-Control"] = "no-store"
    return await sessions.open(user)


def _attempt(sessions: CurrentSessions, ticket: str | None) -> Attempt:
    try:
        claims = sessions.tokens.verified(ticket or "", issuer=ISSUER)
        return Attempt(claims["state"], claims["nonce"], claims["verifier"])
    except (jwt.PyJWTError, KeyError) as error:
        raise SignInRefused from error


async def _user(state: State, there: OpenIdProvider, subject: Subject) -> User:
    """Whose login it is: known by subject, else by verified address, else new."""
    async with db.transaction(state.pool) as conn:
        user = await repository.user_of_subject(conn, subject.issuer, subject.subject)
        if user is None:
            if subject.email is None:
                raise EmailUnverified
            user = await repository.user_by_email(conn, subject.email)
            if user is None:
                role = there.settings.new_users
                await repository.upsert_user(conn, subject.email, subject.name, role)
                user = await repository.user_by_email(conn, subject.email)
            assert user  # noqa: S101
            await repository.link_subject(conn, subject.issuer, subject.subject, user.id)
    if not user.active:
        raise AccountGone
    return user
