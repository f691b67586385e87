"""On the running service: what was planted in it is in no dump, no file of its stores and no log of Ray's."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from config.embedded.stores import Stores
from deployments.local import processes
from deployments.operations import backup
from tests.e2e.service import Service, Tokens
from tests.planting import API, Desk, Planted, below, done, found, plant_all

RECEIPT_S = 120


@pytest.fixture
def desk(service: Service, agent: httpx.Client) -> Desk:
    def client(role: str | None) -> httpx.AsyncClient:
        auth = Tokens(service, role) if role else None
        return httpx.AsyncClient(base_url=service.url, auth=auth, timeout=120)

    article = agent.get(f"{API}/knowledge/articles").json()["items"][0]["id"]
    return Desk(client(None), client("agent"), client("admin"), article)


@pytest.mark.long
async def test_nothing_planted_is_left(service: Service, desk: Desk, tmp_path: Path) -> None:
    plant, others = Planted(), Planted()
    other = await plant_all(desk, others)
    person = await plant_all(desk, plant)
    receipt = await done(desk.admin.post(f"{API}/users/{person.id}/erasure"), 202)
    end = time.monotonic() + RECEIPT_S
    while not receipt["done_at"]:
        assert time.monotonic() < end, "no receipt"
        await asyncio.sleep(0.5)
        receipt = await done(desk.admin.get(f"{API}/admin/erasures/{receipt['id']}"))
    dump = tmp_path / "dump.sql"
    addresses = Stores(service.home)
    with addresses as at:
        await backup._run("pg_dump", at.database_url or "", "--format=plain", f"--file={dump}")
    cluster = processes.cluster_folder(service.home)
    folders = [service.home / name for name in ("valkey", "milvus", "logs", "artefacts")]
    files = [dump, service.log, *(file for each in (*folders, cluster) for file in below(each))]
    assert found(plant.strings, files) == []
    assert found({"an article": "Fernleaf"}, files), "it would be found"
    said = (await done(other.client.get(f"{API}/tickets/{other.tickets[0]}")))["body"]
    assert others("ticket body") in said, "everybody else's data still reads"
