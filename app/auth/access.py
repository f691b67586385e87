"""The dependencies that say who is asking."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.auth.schemas import Identity
from app.auth.service import Sessions
from app.errors import Forbidden, Unauthorised

bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


def sessions(request: Request) -> Sessions:
    return cast(Sessions, request.app.state.sessions)


CurrentSessions = Annotated[Sessions, Depends(sessions)]


def signed_in(
    request: Request, logins: CurrentSessions, token: Annotated[str | None, Depends(bearer)]
) -> Identity:
    if not token:
        raise Unauthorised
    who = logins.read(token)
    request.state.user_id = str(who.id)
    return who


SignedIn = Annotated[Identity, Depends(signed_in)]


def staff(who: SignedIn) -> Identity:
    if not who.is_staff:
        raise Forbidden
    return who


Staff = Annotated[Identity, Depends(staff)]
