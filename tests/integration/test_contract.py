"""The desk's endpoints against what they say of themselves, asked with a token of each role."""

import asyncio
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from app import db
from app.auth.schemas import Role
from config.profile import EventSettings
from tests import factories
from tests.integration.http_server import listening

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
DESK = r"^/api/v1/(tickets|routing|sla|events|admin/jobs)"


@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("role", ["customer", "agent", "supervisor", "admin"])
async def test_nothing_is_a_server_error_or_outside_its_schema(
    pool: db.Pool, conn: db.Connection, desk: FastAPI, role: Role, tmp_path: Path
) -> None:
    settings = EventSettings(poll_s=0.05, stream_s=0.1)
    state = desk.state.eservice
    state.profile = state.profile.model_copy(update={"events": settings})
    state.feed = type(state.feed)(pool, settings)
    await factories.agent(conn, "billing")
    who = await factories.person(conn, role)
    for _ in range(3):
        await factories.ticket(conn, who)
    async with listening(desk) as url:
        asking = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
            *("--header", f"Authorization: Bearer {desk.state.tokens.issue(who)}"),
            *("--include-path-regex", DESK, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "8", "--seed", "1", "--generation-database", "none", "--no-color"),
            *("--continue-on-failure", "--request-timeout", "20", "--max-time", "60", "--warnings", "off"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(asking.communicate(), 170)
        finally:
            if asking.returncode is None:
                asking.kill()
    text = output.decode()
    print(text[-1500:])
    assert asking.returncode == 0, text[-8000:]
    assert "Operations" in text
