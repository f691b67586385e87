"""Signing in, tokens and refresh families, over HTTP and on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import jwt
import pytest
from fastapi import FastAPI

from app import db
from app.auth import service
from app.auth.passwords import Passwords
from app.auth.schemas import Identity
from app.auth.tokens import AccessTokens
from config.keyring import FixedKeys
from tests import factories
from tests.integration.conftest import Browser

SECRET = "a secret for tests, long enough to be one"
PASSWORD = "correct horse battery staple"


@pytest.fixture
async def client(desk: FastAPI, pool: db.Pool) -> httpx.AsyncClient:
    """A stranger; there is one person with a password."""
    async with db.transaction(pool) as conn:
        hashed = await Passwords().hash(PASSWORD)
        await service.ensure_user(conn, "ann@example.com", "Ann", "agent", password_hash=hashed)
    transport = httpx.ASGITransport(desk, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://desk")


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    form = {"username": "Ann@Example.com", "password": password}
    return await client.post("/api/v1/auth/token", data=form)


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_sign_in_gives_a_token_that_works(client: httpx.AsyncClient) -> None:
    pair = (await sign_in(client)).json()
    me = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert me.json()["email"] == "ann@example.com"
    assert pair["expires_in"] == 900


@pytest.mark.parametrize("form", [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD)])
async def test_wrong_credentials_look_alike(client: httpx.AsyncClient, form: tuple[str, str]) -> None:
    answer = await client.post(
        "/api/v1/auth/token", data=dict(zip(("username", "password"), form, strict=True))
    )
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:eservice:wrong-credentials"


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_login(client: httpx.AsyncClient) -> None:
    first = (await sign_in(client)).json()["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]
    assert (await refresh(client, first)).json()["type"] == "urn:eservice:refresh-reused"
    assert (await refresh(client, second)).status_code == 401


async def test_of_simultaneous_refreshes_one_wins(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client)).json()["refresh_token"]
    answers = await asyncio.gather(*(refresh(client, token) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_sign_out_ends_the_login(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client)).json()["refresh_token"]
    assert (await client.post("/api/v1/auth/logout", json={"refresh_token": token})).status_code == 204
    assert (await refresh(client, token)).status_code == 401


async def test_forged_and_expired_tokens_are_refused(client: httpx.AsyncClient, pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn, "admin")
    tokens = AccessTokens(FixedKeys.of(SECRET), ttl_s=60)
    old = tokens.issue(who, now=datetime.now(UTC) - timedelta(hours=1))
    claims = jwt.decode(tokens.issue(who), options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none", headers={"kid": FixedKeys.of(SECRET).current().kid})
    strange_key = AccessTokens(FixedKeys.of("another secret, also long enough to be one"), 60).issue(who)
    assert await _refusal(client, old) == "urn:eservice:token-expired"
    for token in (unsigned, strange_key, "x"):
        assert await _refusal(client, token) == "urn:eservice:token-invalid"


async def _refusal(client: httpx.AsyncClient, token: str) -> str:
    answer = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    return str(answer.json()["type"])


def test_a_new_signing_key_logs_nobody_out() -> None:
    who = Identity(uuid4(), "ann@example.com", "Ann", "agent")
    old, new = (AccessTokens(FixedKeys.of(*keys), 60) for keys in (["o" * 32], ["n" * 32, "o" * 32]))
    assert new.read(old.issue(who)) == who.id
    assert new.read(new.issue(who)) == who.id


async def test_only_administrators_list_users(browser: Browser, pool: db.Pool) -> None:
    async with db.transaction(pool) as conn:
        people = {role: await factories.person(conn, role) for role in ("customer", "agent", "admin")}  # type: ignore[arg-type]
    statuses = {r: (await browser(who).get("/api/v1/users?limit=2")).status_code for r, who in people.items()}
    assert statuses == {"customer": 403, "agent": 403, "admin": 200}
    page = (await browser(people["admin"]).get("/api/v1/users?limit=2")).json()
    rest = (await browser(people["admin"]).get(f"/api/v1/users?cursor={page['next_cursor']}")).json()
    assert len(page["items"]) == 2
    assert {user["id"] for user in page["items"]}.isdisjoint(user["id"] for user in rest["items"])
