"""The lineup of providers: read, changed and rolled back while the service runs. For administrators.

A change is one version more, checked before it is written; replicas take it up by themselves (`watch`).
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from app import db
from app.auth.schemas import Identity
from app.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from app.providers import repository
from app.providers.schemas import Changed, ProviderOut, Providers, ProviderState, Version
from app.state import State
from config.lineup import Lineup, Provider, RouteSettings
from models.llm.errors import ProviderError
from models.llm.protocol import ChatProvider, ProviderStatus

T = TypeVar("T", Lineup, Provider)

CHECK_S = 20.0
CHECK = {"messages": [{"role": "user", "content": "Say: ok"}], "max_tokens": 1}


class ProviderNotFound(NotFound):
    """There is no provider of that name."""


class RouteNotFound(NotFound):
    """There is no route of that name."""


class VersionNotFound(NotFound):
    """There is no such version of the lineup."""


class LineupStale(PreconditionFailed):
    """The lineup was changed since you read it; read it again and repeat your change."""


class LineupUnreadable(Conflict):
    """A newer release wrote the newest version; roll back to one that this release reads."""


class LineupRefused(Invalid):
    """The lineup would not be usable like that."""


class ProviderUnusable(Invalid):
    """The provider did not answer a test request; send check=false to take it up all the same."""


async def overview(state: State, who: Identity) -> Providers:
    """Every provider, active or not, with what this replica knows of it."""
    _only_for_admins(who)
    async with db.transaction(state.pool) as conn:
        version, lineup = await _newest(conn, state)
    statuses = await state.chat_models.statuses()
    return Providers(
        version=version,
        version_here=state.chat_models.version,
        items=[_shown(state, lineup, provider, statuses.get(provider.name)) for provider in lineup.providers],
        routes=list(lineup.routes),
    )


def _shown(state: State, lineup: Lineup, provider: Provider, status: ProviderStatus | None) -> ProviderOut:
    variable = provider.api_key_env
    known = ProviderState(left_out=_left_out(state, provider) if status is None else None)
    if status is not None:
        known = ProviderState.model_validate(status, from_attributes=True)
    return ProviderOut(
        **provider.model_dump(),
        key_is_set=None if variable is None else state.environment.api_key(variable) is not None,
        routes=tuple(route.name for route in lineup.routes if provider.name in route.providers),
        state=known,
    )


def _left_out(state: State, provider: Provider) -> str:
    if not provider.enabled:
        return "disabled"
    try:
        state.open_provider(provider)
    except ValueError as problem:
        return str(problem)
    return "not taken up yet"


async def put(
    state: State, who: Identity, provider: Provider, *, check: bool, expected: int | None
) -> Changed:
    """Add the provider, last, or replace the one of that name where it stands."""
    _only_for_admins(who)
    await _check(state, provider, check)

    def edit(lineup: Lineup) -> dict[str, Any]:
        others = {each.name: each for each in lineup.providers}
        return {"providers": [*(others | {provider.name: provider}).values()], "routes": lineup.routes}

    return await _change(state, who, edit, f"provider {provider.name}", expected)


async def patch(
    state: State,
    who: Identity,
    name: str,
    changed: Callable[[Provider], dict[str, Any]],
    *,
    check: bool,
    expected: int | None,
) -> Changed:
    """Change a provider's fields; it is asked again only where it is asked in another way."""
    _only_for_admins(who)
    async with db.transaction(state.pool) as conn:
        _, lineup = await _newest(conn, state)
    before = _provider(lineup, name)
    after = _valid(Provider, changed(before) | {"name": name})
    asked_anew = after.enabled and (after.connection != before.connection or not before.enabled)
    await _check(state, after, check and asked_anew)

    def edit(now: Lineup) -> dict[str, Any]:
        latest = _valid(Provider, changed(_provider(now, name)) | {"name": name})
        return {"providers": [latest if p.name == name else p for p in now.providers], "routes": now.routes}

    return await _change(state, who, edit, f"provider {name}", expected)


async def remove(state: State, who: Identity, name: str, *, expected: int | None) -> Changed:
    def edit(lineup: Lineup) -> dict[str, Any]:
        gone = _provider(lineup, name)
        return {"providers": [p for p in lineup.providers if p != gone], "routes": lineup.routes}

    return await _change(state, who, edit, f"without provider {name}", expected)


async def put_route(state: State, who: Identity, route: RouteSettings, *, expected: int | None) -> Changed:
    """Add the route, last, or replace the one of that name; the assistant answers by the first."""

    def edit(lineup: Lineup) -> dict[str, Any]:
        routes = {each.name: each for each in lineup.routes} | {route.name: route}
        return {"providers": lineup.providers, "routes": [*routes.values()]}

    return await _change(state, who, edit, f"route {route.name}", expected)


async def remove_route(state: State, who: Identity, name: str, *, expected: int | None) -> Changed:
    def edit(lineup: Lineup) -> dict[str, Any]:
        if name not in {route.name for route in lineup.routes}:
            raise RouteNotFound
        return {"providers": lineup.providers, "routes": [r for r in lineup.routes if r.name != name]}

    return await _change(state, who, edit, f"without route {name}", expected)


async def activate(state: State, who: Identity, version: int, *, expected: int | None) -> Changed:
    """Roll back, or forward: an older version once more, 0 for the profile's own, as a new version."""
    _only_for_admins(who)
    async with db.transaction(state.pool) as conn:
        before = await repository.get(conn, version) if version else _of_profile(state).model_dump()
    if before is None:
        raise VersionNotFound
    lineup = before
    return await _change(state, who, lambda _: lineup, f"version {version} again", expected, blind=True)


async def versions(
    conn: db.Connection, who: Identity, before: int | None, limit: int
) -> tuple[list[Version], int | None]:
    _only_for_admins(who)
    found = await repository.page(conn, before, limit + 1)
    return found[:limit], found[limit - 1].version if len(found) > limit else None


async def _change(
    state: State,
    who: Identity,
    edit: Callable[[Lineup], dict[str, Any]],
    note: str,
    expected: int | None,
    *,
    blind: bool = False,
) -> Changed:
    """One version more, unless another change came between; `blind` edits do not look at the one before."""
    _only_for_admins(who)
    async with db.transaction(state.pool) as conn:
        await repository.take_turns(conn)
        found = await repository.newest(conn)
        version = found[0] if found else 0
        if expected not in {None, version}:
            raise LineupStale
        before = _of_profile(state) if blind else (await _newest(conn, state))[1]
        lineup = _usable(state, _valid(Lineup, edit(before)))
        await repository.add(conn, version + 1, lineup.model_dump(mode="json"), note, who.id)
    return Changed(version=version + 1)


async def _newest(conn: db.Connection, state: State) -> tuple[int, Lineup]:
    found = await repository.newest(conn)
    if found is None:
        return 0, _of_profile(state)
    try:
        return found[0], Lineup.model_validate(found[1])
    except ValidationError as error:
        raise LineupUnreadable from error


def _of_profile(state: State) -> Lineup:
    return Lineup(providers=state.profile.llm.providers, routes=state.profile.llm.routes)


def _usable(state: State, lineup: Lineup) -> Lineup:
    if not any(provider.enabled for provider in lineup.providers):
        raise LineupRefused("At least one provider has to be enabled.")
    if lineup.in_the_clear and not state.profile.is_local:
        names = ", ".join(lineup.in_the_clear)
        raise LineupRefused(f"Plain HTTP is for the local profile only; give {names} an https:// address.")
    return lineup


async def _check(state: State, provider: Provider, asking: bool) -> None:
    """That it has its key and, when `asking`, that it answers."""
    if not provider.enabled:
        return
    try:
        client = state.open_provider(provider)
    except ValueError as problem:
        raise LineupRefused(
            f"{provider.name} could not be asked: {problem}.", param=provider.name
        ) from problem
    try:
        if asking:
            await _ask(client)
    except ProviderError as error:
        raise ProviderUnusable(
            f"{provider.name} did not answer a test request ({error.reason}: {error.detail}); "
            "send check=false to take it up all the same.",
            reason=error.reason,
        ) from error
    finally:
        await client.close()


async def _ask(client: ChatProvider) -> None:
    try:
        async with asyncio.timeout(CHECK_S), aclosing(cast(Any, client.stream(dict(CHECK)))) as chunks:
            async for _ in chunks:
                pass
    except TimeoutError as error:
        raise ProviderError("first_token_timeout", f"silent for {CHECK_S:.0f} s") from error


def _provider(lineup: Lineup, name: str) -> Provider:
    for provider in lineup.providers:
        if provider.name == name:
            return provider
    raise ProviderNotFound


def _valid(kind: type[T], values: dict[str, Any]) -> T:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise LineupRefused(f"{where}: {message}" if where else message, param=where or None) from error


def _only_for_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
