"""API keys, users, lock-out and rotation of signing keys, over HTTP and on a real database."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.auth import service, users
from app.auth.passwords import Passwords
from app.auth.schemas import Identity
from app.auth.tokens import AccessTokens
from app.limits.requests import RequestLimits
from config import keyring, keys
from config.keyring import FileKeys
from tests import factories
from tests.integration.conftest import Browser

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def admin(pool: db.Pool) -> Identity:
    async with db.transaction(pool) as conn:
        return await factories.person(conn, "admin")


@pytest.fixture
async def ann(pool: db.Pool) -> Identity:
    async with db.transaction(pool) as conn:
        hashed = await Passwords().hash(PASSWORD)
        made = await service.ensure_user(conn, "ann@example.com", "Ann", "customer", password_hash=hashed)
    return Identity(made, "ann@example.com", "Ann", "customer")


@pytest.fixture
async def stranger(desk: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(desk, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        yield client


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/auth/token", data={"username": "ann@example.com", "password": password})


async def make_key(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/api-keys", json={"name": "ci", "scopes": ["tickets:read"]} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def use(client: httpx.AsyncClient, key: str, path: str = "/api/v1/tickets") -> httpx.Response:
    return await client.get(path, headers={"Authorization": f"Bearer {key}"})


async def test_a_key_is_shown_once_and_kept_as_a_hash(
    browser: Browser, ann: Identity, conn: db.Connection, stranger: httpx.AsyncClient
) -> None:
    made = await make_key(browser(ann))
    assert (await use(stranger, made["key"])).status_code == 200
    listed = (await browser(ann).get("/api/v1/api-keys")).json()["items"]
    assert [item["prefix"] for item in listed] == [made["key"][:10]]
    assert listed[0]["last_used_at"]
    assert "key" not in listed[0]
    row = await conn.fetchrow("SELECT * FROM api_keys")
    assert row
    assert made["key"] not in str(dict(row))


async def test_a_key_reaches_what_its_scopes_say(
    browser: Browser, ann: Identity, stranger: httpx.AsyncClient
) -> None:
    key = (await make_key(browser(ann), scopes=["models"]))["key"]
    refused = await use(stranger, key)
    assert (refused.status_code, refused.json()["scope"]) == (403, "tickets:read")
    assert (await use(stranger, key, "/api/v1/users/me")).status_code == 200
    more = await stranger.post("/api/v1/api-keys", headers={"Authorization": f"Bearer {key}"}, json={})
    assert more.status_code == 403


async def test_a_key_ends_at_once(browser: Browser, ann: Identity, stranger: httpx.AsyncClient) -> None:
    made = await make_key(browser(ann))
    assert (await use(stranger, made["key"])).status_code == 200
    assert (await browser(ann).delete(f"/api/v1/api-keys/{made['id']}")).status_code == 204
    assert (await use(stranger, made["key"])).json()["type"] == "urn:eservice:api-key-invalid"


async def test_a_key_expires(
    browser: Browser, ann: Identity, conn: db.Connection, stranger: httpx.AsyncClient
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = await make_key(browser(ann), expires_at=soon)
    assert (await use(stranger, made["key"])).status_code == 200
    await conn.execute("UPDATE api_keys SET expires_at = now()")
    await asyncio.sleep(service.KNOWN_S)
    assert (await use(stranger, made["key"])).status_code == 401
    past = {"name": "x", "scopes": ["models"], "expires_at": "2020-01-01T00:00:00Z"}
    assert (await browser(ann).post("/api/v1/api-keys", json=past)).status_code == 422


async def test_nobody_has_more_than_fifty_keys(browser: Browser, ann: Identity) -> None:
    client = browser(ann)
    body = {"name": "x", "scopes": ["models"]}
    answers = await asyncio.gather(*(client.post("/api/v1/api-keys", json=body) for _ in range(53)))
    assert sorted(answer.status_code for answer in answers) == [201] * 50 + [409] * 3


async def test_whoever_is_disabled_is_out_everywhere(
    browser: Browser, ann: Identity, admin: Identity, stranger: httpx.AsyncClient
) -> None:
    pair = (await sign_in(stranger)).json()
    key = (await make_key(browser(ann)))["key"]
    assert (await browser(admin).patch(f"/api/v1/users/{ann.id}", json={"active": False})).status_code == 200
    assert (await use(stranger, pair["access_token"])).json()["type"] == "urn:eservice:account-gone"
    assert (await use(stranger, key)).status_code == 401
    assert (await sign_in(stranger)).status_code == 401
    refresh = {"refresh_token": pair["refresh_token"]}
    assert (await stranger.post("/api/v1/auth/refresh", json=refresh)).status_code == 401
    assert (await browser(admin).patch(f"/api/v1/users/{ann.id}", json={"active": True})).status_code == 200
    assert (await use(stranger, key)).status_code == 401, "what was revoked stays revoked"


async def test_who_was_erased_stays_out(
    browser: Browser, ann: Identity, admin: Identity, stranger: httpx.AsyncClient
) -> None:
    pair = (await sign_in(stranger)).json()
    key, path = (await make_key(browser(ann)))["key"], f"/api/v1/users/{ann.id}"
    assert (await use(stranger, key)).status_code == 200
    assert (await browser(admin).post(f"{path}/erasure")).status_code == 202
    assert (await use(stranger, pair["access_token"])).status_code == 401
    assert (await use(stranger, key)).status_code == 401
    refresh = {"refresh_token": pair["refresh_token"]}
    assert (await stranger.post("/api/v1/auth/refresh", json=refresh)).status_code == 401
    for wish in ({"active": True}, {"role": "agent"}, {"password": PASSWORD}, {"name": "Ann"}):
        refused = await browser(admin).patch(path, json=wish)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:eservice:account-erased")
    assert (await sign_in(stranger)).status_code == 401


async def test_who_is_let_back_in_while_they_are_erased_stays_out(
    browser: Browser, ann: Identity, admin: Identity, pool: db.Pool
) -> None:
    path = f"/api/v1/users/{ann.id}"
    async with db.transaction(pool) as erasing:
        await users.shut_out(erasing, admin, ann.id)
        await erasing.execute("INSERT INTO erasures (person_id, asked_by) VALUES ($1, $2)", ann.id, admin.id)
        letting_in = asyncio.create_task(browser(admin).patch(path, json={"active": True}))
        await asyncio.sleep(0.3)  # it waits for the row, or has looked too early
    assert (await letting_in).status_code == 409
    assert (await browser(admin).get(path)).json()["active"] is False


async def test_whoever_was_disabled_meanwhile_gets_no_login(
    desk: FastAPI, ann: Identity, admin: Identity, browser: Browser
) -> None:
    """Between the password's proof and the login lies the time of Argon2."""
    sessions = desk.state.sessions
    wishes = ({"password": "another long password"}, {"active": False})
    for password, wish in zip((PASSWORD, "another long password"), wishes, strict=True):
        proved = await sessions.prove("ann@example.com", password, "127.0.0.1")
        assert (await browser(admin).patch(f"/api/v1/users/{ann.id}", json=wish)).status_code == 200
        with pytest.raises(service.WrongCredentials):
            await sessions.open(proved)


async def test_what_another_replica_changed_counts_within_a_second(
    browser: Browser, ann: Identity, conn: db.Connection
) -> None:
    client, changed = browser(ann), time.monotonic()
    assert (await client.get("/api/v1/routing/queues")).status_code == 403
    await conn.execute("UPDATE users SET role = 'agent' WHERE id = $1", ann.id)
    while (await client.get("/api/v1/routing/queues")).status_code == 403:
        assert time.monotonic() < changed + 5
        await asyncio.sleep(0.05)
    assert service.KNOWN_S < 1


async def test_a_role_counts_from_the_next_request(browser: Browser, ann: Identity, admin: Identity) -> None:
    client = browser(ann)
    assert (await client.get("/api/v1/routing/queues")).status_code == 403
    await browser(admin).patch(f"/api/v1/users/{ann.id}", json={"role": "agent"})
    assert (await client.get("/api/v1/routing/queues")).status_code == 200


async def test_users_are_made_once(browser: Browser, admin: Identity, stranger: httpx.AsyncClient) -> None:
    draft = {"email": "Ann@Example.com", "name": "Ann", "role": "agent", "password": PASSWORD}
    made = await browser(admin).post("/api/v1/users", json=draft)
    assert (made.status_code, made.json()["email"]) == (201, "ann@example.com")
    assert PASSWORD not in made.text
    assert (await browser(admin).post("/api/v1/users", json=draft)).status_code == 409
    assert (await sign_in(stranger)).status_code == 200


async def test_an_administrator_remains(browser: Browser, admin: Identity, conn: db.Connection) -> None:
    client = browser(admin)
    assert (await client.patch(f"/api/v1/users/{admin.id}", json={"active": False})).status_code == 409
    other = await factories.person(conn, "admin")
    demote = {"role": "agent"}
    answers = await asyncio.gather(
        client.patch(f"/api/v1/users/{admin.id}", json=demote),
        browser(other).patch(f"/api/v1/users/{other.id}", json=demote),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_guessing_ones_way_to_a_new_password_costs_what_guessing_at_the_door_does(
    browser: Browser, ann: Identity
) -> None:
    client, wish = browser(ann), {"current": "wrong", "new": "another long password"}
    tried = [(await client.put("/api/v1/users/me/password", json=wish)).status_code for _ in range(7)]
    assert tried == [422] * 6 + [429]
    late = await client.put("/api/v1/users/me/password", json=wish | {"current": PASSWORD})
    assert late.status_code == 429, "also the right one waits, else it would be told"


async def test_a_new_password_ends_the_other_logins_and_no_key(
    browser: Browser, ann: Identity, stranger: httpx.AsyncClient
) -> None:
    key = (await make_key(browser(ann)))["key"]
    old = (await sign_in(stranger)).json()["refresh_token"]
    client, wish = browser(ann), {"current": "wrong", "new": "another long password"}
    assert (await client.put("/api/v1/users/me/password", json=wish)).status_code == 422
    assert (
        await client.put("/api/v1/users/me/password", json=wish | {"current": PASSWORD})
    ).status_code == 204
    assert (await stranger.post("/api/v1/auth/refresh", json={"refresh_token": old})).status_code == 401
    assert (await sign_in(stranger)).status_code == 401
    assert (await sign_in(stranger, "another long password")).status_code == 200
    assert (await use(stranger, key)).status_code == 200, (
        "programs go on; who has it is for its owner to know"
    )


async def test_guessing_locks_out_the_guesser_only(
    desk: FastAPI, ann: Identity, stranger: httpx.AsyncClient
) -> None:
    settings = desk.state.eservice.profile
    http = settings.http.model_copy(update={"forwarded_hops": 1})
    desk.state.limits = RequestLimits(desk.state.limits.limiter, settings.model_copy(update={"http": http}))
    thief, owner = {"X-Forwarded-For": "6.6.6.6"}, {"X-Forwarded-For": "1.2.3.4"}
    statuses = []
    for _ in range(8):
        stranger.headers.update(thief)
        statuses.append((await sign_in(stranger, "a guess")).status_code)
    assert statuses == [401] * 6 + [429] * 2
    assert (await sign_in(stranger)).status_code == 429, "not even the right one, from there"
    stranger.headers.update(owner)
    assert [(await sign_in(stranger)).status_code for _ in range(8)] == [200] * 8, "signing in costs nothing"


async def test_a_file_of_keys_rotates_under_a_running_replica(tmp_path: Path, ann: Identity) -> None:
    """Two replicas, one of which reads the file later: every token is good everywhere, all the time."""
    file = tmp_path / "keys.json"
    first = keys.rotate(file)
    clock = 0.0
    early, late = FileKeys(file, lambda: clock), FileKeys(file, lambda: clock)
    before = AccessTokens(early, 900).issue(ann)
    second = keys.rotate(file, after_s=0)
    clock += 2
    after = AccessTokens(early, 900).issue(ann)
    assert (early.current(), late.find(first.kid)) == (second, first)
    for token in (before, after):
        assert AccessTokens(late, 900).read(token) == ann.id
    file.write_text("half a fi")
    clock += 2
    assert late.current() == second, "what cannot be read changes nothing"


def test_a_new_key_is_not_used_before_every_replica_has_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first = keys.rotate(file)
    second = keys.rotate(file, after_s=60)
    assert FileKeys(file).current() == first
    assert FileKeys(file).find(second.kid) == second
    assert keys.prune(file, keep=1) == [], "the one in use stays"
    file.write_text(keyring.written([first, keyring.Key(2, second.secret, time.time() - 1)]))
    assert keys.prune(file, keep=1) == [first]


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.json"
    assert keys.main(["rotate", str(file)]) == 0
    assert "used" in capsys.readouterr().out
    assert file.stat().st_mode & 0o77 == 0
    file.write_text("{}")
    assert keys.main(["list", str(file)]) == 1
    assert "is no key file" in capsys.readouterr().err
