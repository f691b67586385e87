"""What every request passes through, and how errors leave."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from app import middleware, problems
from app.errors import Conflict
from app.middleware import Admission, BodyLimit, LastResort, RequestId


class KettleTooHot(Conflict):
    """The kettle is too hot."""


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.state.gate = asyncio.Event()

    @app.post("/echo")
    async def echo(body: dict[str, int]) -> dict[str, int]:
        return body

    @app.get("/wait")
    async def wait(request: Request) -> str:
        await request.app.state.gate.wait()
        return "done"

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @app.get("/conflict")
    async def conflict() -> None:
        raise KettleTooHot(legal=["cool"])

    @app.get("/v1/conflict")
    async def openai_conflict() -> None:
        raise KettleTooHot

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    problems.install(app)
    app.add_middleware(BodyLimit, limit=100)
    app.add_middleware(Admission, limit=2)
    app.add_middleware(LastResort)
    app.add_middleware(RequestId, address=lambda scope: "10.0.0.1")
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_a_problem_names_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/conflict")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:eservice:kettle-too-hot",
        "title": "Kettle too hot",
        "status": 409,
        "detail": "The kettle is too hot.",
        "instance": "/conflict",
        "legal": ["cool"],
    }


async def test_under_v1_errors_are_openais(client: httpx.AsyncClient) -> None:
    error = (await client.get("/v1/conflict")).json()["error"]
    assert error["message"] == "The kettle is too hot."
    assert error["code"] == "kettle_too_hot"


async def test_a_bug_is_a_problem_with_a_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bug")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"]
    assert "Zero" not in answer.text


@pytest.mark.parametrize("path", ["/conflict", "/nowhere", "/healthz"])
async def test_every_answer_has_a_request_id(client: httpx.AsyncClient, path: str) -> None:
    assert len((await client.get(path)).headers["x-request-id"]) == 32
    behind_serve = await client.get(path, headers={"X-Request-ID": "from-serve"})
    assert "x-request-id" not in behind_serve.headers, "Serve adds it"


async def test_large_bodies_are_refused_with_and_without_a_length(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 50

    for body in (b" " * 250, chunks()):
        answer = await client.post("/echo", content=body)
        assert answer.status_code == 413
        assert answer.json()["limit_bytes"] == 100
    assert (await client.post("/echo", json={"a": 1})).json() == {"a": 1}


async def test_past_the_limit_callers_are_told_to_come_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    waiting = [asyncio.create_task(client.get("/wait")) for _ in range(2)]
    await asyncio.sleep(0.05)
    refused = await client.get("/wait")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert (await client.get("/healthz")).status_code == 200
    app.state.gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await client.get("/wait")).status_code == 200


async def test_a_body_that_trickles_in_is_refused(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "GRACE_S", 0.2)

    async def trickle(forever: bool) -> AsyncIterator[bytes]:
        yield b'{"a":'
        if forever:
            await asyncio.sleep(30)
        yield b" 1}"

    headers = {"Content-Type": "application/json"}
    slow = await client.post("/echo", content=trickle(True), headers=headers)
    assert (slow.status_code, slow.json()["type"]) == (408, "urn:eservice:too-slow")
    quick = await client.post("/echo", content=trickle(False), headers=headers)
    assert (quick.status_code, quick.json()) == (200, {"a": 1})
