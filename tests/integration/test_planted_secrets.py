"""Secrets planted wherever a caller or a driver may drop them are in no log line and in no answer."""

import json
import logging
import secrets
from collections.abc import Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI

from app import db
from app.auth import api_keys
from app.auth.schemas import ApiKeyDraft
from monitoring import logs
from tests import factories


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logs as in production, to a standard error that can be read."""
    before = structlog.get_config()
    logs.set_up()
    structlog.configure(cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


def planted(n: int) -> str:
    return f"planted{n}{secrets.token_hex(8)}"


async def test_no_secret_in_any_log_or_error(
    desk: FastAPI, pool: db.Pool, lines: None, capfd: pytest.CaptureFixture[str]
) -> None:
    async with db.transaction(pool) as conn:
        who = await factories.person(conn, "admin")
        key = (await api_keys.make(conn, who, ApiKeyDraft(name="ci", scopes=["models"]))).key
    token = desk.state.sessions.tokens.issue(who)
    password, refresh, forged, bad_key = planted(1), planted(2), f"eyJ{planted(3)}.x.y", f"esk_{planted(4)}"
    answers = []
    transport = httpx.ASGITransport(desk, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        form = {"username": who.email, "password": password}
        answers.append(await client.post("/api/v1/auth/token", data=form))
        bodies = ({"refresh_token": refresh}, {"refresh_token": refresh * 20}, {"refresh": refresh})
        answers += [await client.post("/api/v1/auth/refresh", json=body) for body in bodies]
        weak = {"email": "no address", "name": "x", "password": password[:11]}
        for bearer in (token, key, forged, bad_key):
            headers = {"Authorization": f"Bearer {bearer}"}
            answers.append(await client.post("/api/v1/users", json=weak, headers=headers))
            answers.append(await client.get("/v1/models", headers=headers))  # breaks: there are no models
            query = {"cursor": bearer}
            answers.append(await client.get("/api/v1/users", params=query, headers=headers))
    structlog.get_logger().error(
        "driver", exc_info=ConnectionError(f"postgresql://eservice:{password}@127.0.0.1/eservice")
    )
    logged = "".join(capfd.readouterr())
    said = "".join(answer.text for answer in answers)
    assert 500 in {answer.status_code for answer in answers}, "something has to go wrong for this to say much"
    assert "Traceback" in logged
    for secret in (password, refresh, forged, bad_key, key, token, "a secret for tests"):
        assert secret not in logged
        assert secret not in said
    for line in logged.splitlines():
        if line.startswith("{"):
            json.loads(line)
    logging.getLogger().handlers.clear()
