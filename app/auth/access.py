"""The dependencies that say who is asking."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.auth.schemas import Identity
from app.auth.service import Sessions
from app.errors import Forbidden, Unauthorised
from app.limits.requests import CurrentLimits

bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


async def sessions(request: Request) -> Sessions:
    return cast(Sessions, request.app.state.sessions)


CurrentSessions = Annotated[Sessions, Depends(sessions)]


async def signed_in(
    request: Request,
    logins: CurrentSessions,
    limits: CurrentLimits,
    token: Annotated[str | None, Depends(bearer)],
) -> Identity:
    """Whose token it is, once the request is charged to them and to their address."""
    try:
        who = _read(logins, token)
    except Unauthorised:
        await limits.spend_refusal(request)
        raise
    await limits.spend(request, {"user": str(who.id)})
    request.state.user_id = str(who.id)
    return who


def _read(logins: Sessions, token: str | None) -> Identity:
    if not token:
        raise Unauthorised
    return logins.read(token)


SignedIn = Annotated[Identity, Depends(signed_in)]


async def staff(who: SignedIn) -> Identity:
    if not who.is_staff:
        raise Forbidden
    return who


Staff = Annotated[Identity, Depends(staff)]
