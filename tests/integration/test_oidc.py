"""Signing in at an OpenID provider, from the browser's redirect to a login of ours."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.auth.oidc import OpenIdProvider
from config.profile import OidcSettings
from tests import factories
from tests.integration import openid
from tests.integration.audited import entries
from tests.integration.openid import OpenId
from tests.integration.whole import served

PATH = "/api/v1/auth/oidc"
CALLBACK = f"http://desk{PATH}/callback"


@pytest.fixture
async def provider(desk: FastAPI) -> AsyncIterator[OpenId]:
    made = OpenId()
    async with served(openid.application(made)) as url:
        made.issuer = url
        settings = OidcSettings(
            issuer=url, client_id=openid.CLIENT, redirect_uri=CALLBACK, new_users="customer", timeout_s=5
        )
        desk.state.oidc = OpenIdProvider(settings, None)
        yield made
        await desk.state.oidc.close()


@pytest.fixture
async def browser(desk: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(desk, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        yield client


async def at_provider(browser: httpx.AsyncClient) -> dict[str, str]:
    """Go there and sign in; what it sends the browser back with."""
    away = await browser.get(PATH)
    assert away.status_code == 302, away.text
    async with httpx.AsyncClient() as elsewhere:
        back = await elsewhere.get(away.headers["location"])
    assert back.headers["location"].startswith(CALLBACK)
    query = parse_qs(urlsplit(back.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


async def sign_in(browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.get(f"{PATH}/callback", params=await at_provider(browser))


async def whoami(browser: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me: dict[str, Any] = (await browser.get("/api/v1/users/me", headers=headers)).json()
    return me


async def test_a_new_person_is_a_customer_and_stays_the_same(
    provider: OpenId, browser: httpx.AsyncClient
) -> None:
    first = await whoami(browser, await sign_in(browser))
    assert (first["email"], first["role"]) == ("ann@example.com", "customer")
    provider.claims["email"] = "ann.new@example.com"
    assert (await whoami(browser, await sign_in(browser)))["id"] == first["id"], "the subject counts"
    assert provider.key_reads == 1, "its keys are kept"


async def test_the_audit_keeps_no_hash_of_a_subject(
    provider: OpenId, browser: httpx.AsyncClient, pool: db.Pool
) -> None:
    """It could be asked for good, after an erasure too, whether somebody had an account here."""
    person = (await whoami(browser, await sign_in(browser)))["id"]
    async with db.transaction(pool) as conn:
        await conn.execute("DELETE FROM federated_identities")
    written = await entries(pool, object="federated_identities")
    assert [each["action"] for each in written] == ["created", "deleted"]
    assert {each["object_id"] for each in written} == {f"{provider.issuer}/{person}"}
    assert "subject" not in written[0]["change"]


async def test_a_verified_address_finds_the_account_that_is_there(
    provider: OpenId, browser: httpx.AsyncClient, pool: db.Pool
) -> None:
    async with db.transaction(pool) as conn:
        agent = await factories.person(conn, "agent")
    provider.claims |= {"email": agent.email, "email_verified": False}
    assert (await sign_in(browser)).json()["type"] == "urn:eservice:email-unverified"
    provider.claims["email_verified"] = True
    assert (await whoami(browser, await sign_in(browser)))["id"] == str(agent.id)


@pytest.mark.parametrize(
    "bent",
    [
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"overrides": {"aud": "somebody else"}},
        {"overrides": {"iss": "https://evil.example.com"}},
        {"overrides": {"exp": 1}},
        {"overrides": {"nonce": "another"}},
        {"overrides": {"azp": "somebody else"}},
    ],
    ids=str,
)
async def test_a_bent_answer_is_refused(
    provider: OpenId, browser: httpx.AsyncClient, bent: dict[str, Any]
) -> None:
    for name, value in bent.items():
        setattr(provider, name, value)
    answer = await sign_in(browser)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:eservice:sign-in-refused")


async def test_an_answer_belongs_to_the_browser_that_asked(
    provider: OpenId, browser: httpx.AsyncClient
) -> None:
    query = await at_provider(browser)
    browser.cookies.clear()
    assert (await browser.get(f"{PATH}/callback", params=query)).status_code == 401, "no cookie"
    forged = await at_provider(browser) | {"state": "x" * 43}
    assert (await browser.get(f"{PATH}/callback", params=forged)).status_code == 401
    earlier, later = await at_provider(browser), await at_provider(browser)
    mixed = earlier | {"state": later["state"]}
    assert (await browser.get(f"{PATH}/callback", params=earlier)).status_code == 401
    assert (await browser.get(f"{PATH}/callback", params=mixed)).status_code == 401, "the verifier differs"


async def test_new_keys_of_the_provider_are_found(
    provider: OpenId, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await sign_in(browser)).status_code == 200
    provider.rotate()
    assert (await sign_in(browser)).status_code == 401, "not read again at once: that would be a lever"
    monkeypatch.setattr("app.auth.oidc.LOOK_AGAIN_S", 0.0)
    assert (await sign_in(browser)).status_code == 200


async def test_a_provider_that_is_down_is_not_our_error(provider: OpenId, browser: httpx.AsyncClient) -> None:
    provider.down = True
    answer = await browser.get(PATH)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:eservice:provider-down")
    provider.down = False
    assert (await sign_in(browser)).status_code == 200


async def test_without_a_provider_there_is_nothing(browser: httpx.AsyncClient) -> None:
    assert (await browser.get(PATH)).json()["type"] == "urn:eservice:no-provider"
