"""Security headers, CORS, the depth of JSON."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from app.hardening import MAX_NESTING, nesting
from app.main import create_app
from config.profile import load

ORIGIN = "https://console.example.com"


def application(**http: Any) -> FastAPI:
    profile = load("prod")
    return create_app(
        profile.model_copy(update={"http": profile.http.model_copy(update=http)}), cast(Any, None)
    )


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://desk") as made:
        yield made


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/docs", "/openapi.json"])
async def test_every_answer_is_hardened(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["cache-control"] == "no-store"


async def test_the_document_is_not_public_outside_the_local_profile(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).status_code == 404


async def test_cors_is_closed_by_default(client: httpx.AsyncClient) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answers = [
        await client.get("/healthz", headers={"Origin": ORIGIN}),
        await client.options("/healthz", headers=preflight),
    ]
    assert not any(name.startswith("access-control-") for answer in answers for name in answer.headers)


async def test_cors_opens_to_the_named_origin_only() -> None:
    transport = httpx.ASGITransport(application(cors_origins=(ORIGIN,)))
    async with httpx.AsyncClient(transport=transport, base_url="https://desk") as client:
        for origin, allowed in ((ORIGIN, True), ("https://evil.example.com", False), ("null", False)):
            preflight = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
            answer = await client.options("/api/v1/tickets", headers=preflight)
            assert ("access-control-allow-origin" in answer.headers) is allowed
            assert "access-control-allow-credentials" not in answer.headers


async def test_bottomless_json_is_refused_before_it_is_parsed(client: httpx.AsyncClient) -> None:
    for depth, status in ((MAX_NESTING, 401), (MAX_NESTING + 1, 422), (400_000, 422)):
        body = b"[" * depth + b"]" * depth
        answer = await client.post(
            "/api/v1/auth/refresh", content=body, headers={"Content-Type": "application/json"}
        )
        if status == 422:
            assert "64 levels" in answer.text
        else:
            assert "64 levels" not in answer.text


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text('[{"', max_size=3)
    return st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)


json_values = st.recursive(st.none() | st.text('[]{}"\\ab', max_size=8), containers, max_leaves=30)


@given(json_values)
def test_depth_is_counted_as_the_parser_sees_it(value: Any) -> None:
    wide = [value, *([[]] * (MAX_NESTING + 1))]
    assert nesting(json.dumps(wide).encode()) == max(2, 1 + depth(value))


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)
