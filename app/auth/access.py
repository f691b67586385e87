"""The dependencies that say who is asking."""

from dataclasses import replace
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app import attribution
from app.auth.schemas import Identity
from app.auth.scopes import scope_of
from app.auth.service import Sessions
from app.errors import Forbidden, Unauthorised
from app.limits.requests import request_limits
from config.limits import Holder

bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


async def sessions(request: Request) -> Sessions:
    return cast(Sessions, request.app.state.sessions)


class NotForKeys(Forbidden):
    """This needs somebody who signed in; an API key is not enough."""


class ScopeMissing(Forbidden):
    """This API key lacks the scope for this."""


CurrentSessions = Annotated[Sessions, Depends(sessions)]


async def signed_in(request: Request, token: Annotated[str | None, Depends(bearer)]) -> Identity:
    """Whose access token or API key it is, once the request is charged to them and to their address."""
    logins, limits = await sessions(request), await request_limits(request)
    if not token:
        await limits.spend_refusal(request)
        raise Unauthorised
    try:
        who = await logins.authenticate(token)
    except Unauthorised:
        await limits.spend_refusal(request)
        raise
    holders: dict[Holder, str] = {"user": str(who.id)}
    if who.key_id:
        holders["key"] = str(who.key_id)
    await limits.spend(request, holders)
    _within_scopes(request, who)
    request.state.user_id = str(who.id)
    by_key = str(who.key_id) if who.key_id else None
    attribution.act(replace(attribution.current(), actor=f"user:{who.id}", api_key=by_key))
    return who


def _within_scopes(request: Request, who: Identity) -> None:
    if who.scopes is None:
        return
    scope = scope_of(request.method, request.url.path)
    if scope is None:
        raise NotForKeys
    if scope and scope not in who.scopes:
        raise ScopeMissing(f"This API key lacks the scope {scope!r}.", scope=scope)


SignedIn = Annotated[Identity, Depends(signed_in)]


async def staff(who: SignedIn) -> Identity:
    if not who.is_staff:
        raise Forbidden
    return who


Staff = Annotated[Identity, Depends(staff)]
