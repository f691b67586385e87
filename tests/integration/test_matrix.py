"""Every operation of the API, called by everybody: what each may, `tests/access_rules.py` says."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from app import db
from app.auth.schemas import Identity, Role
from app.auth.scopes import scope_of
from app.auth.tokens import AccessTokens
from config.embedded.stores import Addresses
from config.keyring import FixedKeys
from models.triage.learnt import LearntTriager
from tests.access_rules import RULES
from tests.integration import whole
from tests.integration.smallest import smallest
from tests.integration.whole import KEYS, ROLES, World

STRANGE = AccessTokens(FixedKeys.of("another secret, also long enough to be one"), 900)
PROTECTED = [name for name, rule in RULES.items() if rule.signed_in]
REFUSED = frozenset({401, 403})


@dataclass
class Caller:
    """Calls operations with their smallest valid requests."""

    world: World
    client: httpx.AsyncClient
    document: dict[str, Any]

    async def call(self, operation: str, token: str | None = None) -> httpx.Response:
        method, path = operation.split()
        content = self.document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
        things = self.world.things
        url = re.sub(r"\{(\w+?)(?::path)?\}", lambda found: things.get(found[1], things[""]), path)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if "multipart/form-data" in content:
            files = {"file": ("a.md", b"# A", "text/markdown")}
            return await self.client.request(method, url, headers=headers, files=files)
        if "application/json" not in content:
            return await self.client.request(method, url, headers=headers | {"If-Match": "*"})
        body = smallest(content["application/json"]["schema"], self.document)
        if isinstance(body, dict):
            body |= {
                name: things.get(value[1:-1], value) if isinstance(value, str) else value
                for name, value in RULES[operation].body.items()
            }
        return await self.client.request(method, url, headers=headers | {"If-Match": "*"}, json=body)


@pytest.fixture(scope="module")
async def caller(stores: Addresses, template_url: str, triager: LearntTriager) -> AsyncIterator[Caller]:
    url = await whole.migrated(stores, template_url)
    assert stores.redis_url
    async with whole.application(url, stores.redis_url, triager) as app:
        world = await whole.populate(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            yield Caller(world, client, app.openapi())


async def fresh(world: World) -> None:
    """Somebody may have deleted, closed or handed over what the last operation was about."""
    async with db.transaction(world.app.state.eservice.pool) as conn:
        world.victim = await whole.factories.person(conn)
        world.things = await whole.things(conn, world.victim)


@pytest.mark.parametrize("operation", PROTECTED)
async def test_each_role(caller: Caller, operation: str) -> None:
    rule, world = RULES[operation], caller.world
    for role in ROLES:
        if rule.endless and role in rule.roles:
            continue
        if not operation.startswith("GET"):
            await fresh(world)
        answer = await caller.call(operation, world.token(world.people[role]))
        said = f"{role}: {answer.status_code} {answer.text[:200]}"
        if role in rule.roles:
            assert answer.status_code not in REFUSED, said
            assert answer.status_code < 500, said
        elif rule.owner or _names_somebodys_thing(operation):
            assert answer.status_code in {403, 404}, said
        else:
            assert answer.status_code == 403, said
        if rule.owner and role not in rule.roles and role == "customer":
            assert answer.status_code == 404, f"a stranger learns that it is there: {said}"


@pytest.mark.parametrize("operation", [name for name, rule in RULES.items() if rule.owner])
async def test_the_owner(caller: Caller, operation: str) -> None:
    await fresh(caller.world)
    answer = await caller.call(operation, caller.world.token(caller.world.victim))
    assert answer.status_code not in {*REFUSED, 404}, answer.text
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("operation", PROTECTED)
async def test_tokens_that_are_none(caller: Caller, operation: str) -> None:
    world = caller.world
    admin = world.people["admin"]
    async with db.transaction(world.app.state.eservice.pool) as conn:
        gone = await whole.factories.person(conn, "admin")
        await conn.execute("UPDATE users SET active = false WHERE id = $1", gone.id)
    refused = {
        "no token": None,
        "not a token": "x",
        "no API key": "esk_x",
        "expired": AccessTokens(KEYS, 900).issue(admin, now=datetime.now(UTC) - timedelta(hours=1)),
        "alg: none": unsigned(world.token(admin)),
        "a strange key": STRANGE.issue(admin),
        "a strange kid": another_kid(admin, "nobody's"),
        "no kid": another_kid(admin, None),
        "a disabled account": world.token(gone),
        "a deleted account": world.token(Identity(whole.uuid.uuid4(), "x@example.com", "X", "admin")),
    }
    for what, token in refused.items():
        answer = await caller.call(operation, token)
        assert answer.status_code == 401, f"{what}: {answer.status_code} {answer.text[:200]}"
        assert answer.headers["www-authenticate"] == "Bearer", what


@pytest.mark.parametrize("operation", PROTECTED)
async def test_keys_of_the_wrong_scope(caller: Caller, operation: str) -> None:
    scope = scope_of(*operation.split())
    for role in ROLES:
        if RULES[operation].endless and role in RULES[operation].roles:
            continue
        for given, key in caller.world.keys[role].items():
            answer = await caller.call(operation, key)
            if scope is None or scope not in {"", given}:
                assert answer.status_code == 403, f"{role} with {given}: {answer.status_code}"
                kind = answer.json().get("type") or answer.json()["error"]["code"]
                assert re.search(r"not.for.keys|scope.missing", kind)
            elif role in RULES[operation].roles:
                assert answer.status_code not in REFUSED, answer.text
            else:
                assert answer.status_code == 403, "a key may no more than its owner"


def unsigned(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, None, "none", headers={"kid": KEYS.current().kid})


def another_kid(who: Identity, kid: str | None) -> str:
    token = AccessTokens(KEYS, 900).issue(who)
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, KEYS.current().secret, "HS256", headers={"kid": kid} if kid else {})


def _names_somebodys_thing(operation: str) -> bool:
    return bool(re.search(r"\{(ticket_id|conversation_id|key_id)\}", operation))


def test_there_is_somebody_of_every_role() -> None:
    roles: tuple[Role, ...] = ROLES
    assert set(roles) == {"customer", "agent", "supervisor", "admin"}
