"""/api/v1/admin/providers. For administrators."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from app.auth.access import SignedIn
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.providers import service
from app.providers.schemas import Changed, ProviderPatch, Providers, Versions
from app.providers.service import (
    LineupRefused,
    LineupStale,
    LineupUnreadable,
    ProviderNotFound,
    ProviderUnusable,
    RouteNotFound,
    VersionNotFound,
)
from app.state import Current, Transaction
from config.lineup import Provider, RouteSettings

router = APIRouter(
    prefix="/api/v1/admin/providers",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)
CHANGE = documented(LineupRefused, LineupStale, LineupUnreadable)

Check = Annotated[bool, Query(description="whether it has to answer a test request of one token first")]
IfMatch = Annotated[
    str | None, Header(description="the ETag of the lineup as you read it; without it, whatever it is now")
]


@router.get("", responses=documented(LineupUnreadable))
async def providers(who: SignedIn, state: Current, response: Response) -> Providers:
    """Every provider with its prices, routes, breaker and load, as the replica that answers sees it."""
    found = await service.overview(state, who)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.get("/versions")
async def versions(
    who: SignedIn,
    conn: Transaction,
    cursor: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Versions:
    """Every change with who made it and when, newest first."""
    items, following = await service.versions(conn, who, cursor, limit)
    return Versions(items=items, next_cursor=str(following) if following else None)


@router.post("/versions/{version}/activation", responses=CHANGE | documented(VersionNotFound))
async def activate(version: int, who: SignedIn, state: Current, if_match: IfMatch = None) -> Changed:
    """Roll back to a version; 0 is the profile's own lineup."""
    return await service.activate(state, who, version, expected=_version(if_match))


@router.put("/routes/{name}", responses=CHANGE)
async def put_route(
    name: str, route: RouteSettings, who: SignedIn, state: Current, if_match: IfMatch = None
) -> Changed:
    """Add a route, or change its providers and weights."""
    _same(name, route.name)
    return await service.put_route(state, who, route, expected=_version(if_match))


@router.delete("/routes/{name}", responses=CHANGE | documented(RouteNotFound))
async def remove_route(name: str, who: SignedIn, state: Current, if_match: IfMatch = None) -> Changed:
    return await service.remove_route(state, who, name, expected=_version(if_match))


@router.put("/{name}", responses=CHANGE | documented(ProviderUnusable))
async def put(
    name: str,
    provider: Provider,
    who: SignedIn,
    state: Current,
    check: Check = True,
    if_match: IfMatch = None,
) -> Changed:
    """Add a provider, last, or replace the one of that name. Its key has to be in the environment."""
    _same(name, provider.name)
    return await service.put(state, who, provider, check=check, expected=_version(if_match))


@router.patch("/{name}", responses=CHANGE | documented(ProviderNotFound, ProviderUnusable))
async def patch(
    name: str,
    changes: ProviderPatch,
    who: SignedIn,
    state: Current,
    check: Check = True,
    if_match: IfMatch = None,
) -> Changed:
    """Change some fields: `{"enabled": false}` takes a provider out, prices count from the next answer on."""
    return await service.patch(state, who, name, changes.onto, check=check, expected=_version(if_match))


@router.delete("/{name}", responses=CHANGE | documented(ProviderNotFound))
async def remove(name: str, who: SignedIn, state: Current, if_match: IfMatch = None) -> Changed:
    """Take a provider out for good; routes have to let go of it first."""
    return await service.remove(state, who, name, expected=_version(if_match))


def _same(path: str, body: str) -> None:
    if path != body:
        raise Invalid(
            f"The path says {path!r}, the body {body!r}: the name has to be the same.", param="name"
        )


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    tag = re.fullmatch(r'\s*"(\d{1,9})"\s*', if_match)
    return int(tag[1]) if tag else -1
