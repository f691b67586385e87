"""The triage deployment changes over while requests run: each has an answer, and each answer a version.

The deployment's own class over HTTP, PostgreSQL and real artefacts, without Serve around it;
`tests/e2e/test_triage.py` does the same to the running service.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from app.db import Connection
from app.triage import service as versions
from app.triage.schemas import Trained, Version
from config.profile import EmbedderSettings, load
from deployments import triage as deployment
from deployments import watching
from models.artefacts import Artefacts
from models.embedding.protocol import Vectors
from pipelines.training import registry
from tests import factories
from tests.integration.conftest import Browser

PATH = "/api/v1/admin/triage"
TICKET = {"subject": "Charged twice", "body": "invoice charge card refund"}


class Embeds:
    """A handle as the deployment knows it."""

    def remote(self, texts: list[str], *_: object, **__: object) -> Awaitable[Vectors]:
        return factories.WordVectors().embed(texts)


@pytest.fixture
async def triage(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ESERVICE_ARTEFACTS", str(tmp_path))
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(deployment.observation, "set_up", lambda: None)  # it asks Serve who it is
    replica_class = deployment.Triage.func_or_class
    kind = type("Replica", (replica_class,), {"__del__": lambda self: None})  # Serve awaits it, Python cannot
    replica = kind.__new__(kind)
    vectors = EmbedderSettings(model=factories.WordVectors.name, dimensions=factories.WordVectors.dimensions)
    profile = load("test").model_copy(update={"embedder": vectors})
    await replica.__init__(profile, embedder=SimpleNamespace(embed=Embeds()))
    yield replica
    replica.watch.cancel()
    await replica.pool.close()


async def trained(conn: Connection, folder: Path, name: str) -> Version:
    artefact = registry.keep_model(Artefacts(str(folder)), factories.triage_model(name))
    return await versions.register(
        conn, Trained(artefact=artefact, data=None, data_fingerprint=name, figures={})
    )


async def test_promoted_and_rolled_back_under_load(
    conn: Connection, desk: FastAPI, browser: Browser, triage: Any, tmp_path: Path
) -> None:
    desk.state.eservice.triager = triage
    admin, agent = (
        browser(await factories.person(conn, "admin")),
        browser(await factories.agent(conn, "billing")),
    )
    first, second = [str((await trained(conn, tmp_path, name)).id) for name in ("one", "two")]
    statuses: Counter[int] = Counter()
    seen: list[str] = []

    async def ask() -> None:
        while not done.is_set():
            answer = await agent.post("/api/v1/routing/preview", json=TICKET)
            statuses[answer.status_code] += 1
            assert answer.status_code == 200, answer.text
            seen.append(answer.json()["triage"]["version"])

    async def until(version: str) -> None:
        async with asyncio.timeout(20):
            while not seen or seen[-1] != version:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    done = asyncio.Event()
    asking = [asyncio.create_task(ask()) for _ in range(4)]
    await until("untrained")
    for version in (first, second):
        wish = {"without_proof": "a test"}
        assert (await admin.post(f"{PATH}/versions/{version}/promote", json=wish)).status_code == 200
        await until(version)
    assert (await admin.post(f"{PATH}/rollback")).json()["id"] == first
    await until(first)
    done.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert set(seen) == {"untrained", first, second}


async def test_a_version_without_its_files_leaves_the_one_before_at_work(
    conn: Connection, triage: Any, tmp_path: Path
) -> None:
    good = await trained(conn, tmp_path, "good")
    gone = await versions.register(
        conn, Trained(artefact="triage/gone", data=None, data_fingerprint="x", figures={})
    )
    for version in (good, gone):
        async with conn.transaction():
            await versions.promote(conn, None, version.id, without_proof="a test")
        await triage.look()
    assert (await triage.triage(**TICKET)).version == str(good.id)


async def test_the_shadow_reads_along(conn: Connection, triage: Any, tmp_path: Path) -> None:
    active, shadow = [await trained(conn, tmp_path, name) for name in ("active", "shadow")]
    async with conn.transaction():
        await versions.promote(conn, None, active.id)
        await versions.cast_shadow(conn, None, shadow.id)
    await triage.look()
    verdict = await triage.triage(**TICKET)
    assert (verdict.version, verdict.shadow.version) == (str(active.id), str(shadow.id))
    assert verdict.shadow.shadow is None
