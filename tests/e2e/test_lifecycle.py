"""Starting, stopping, killing and starting again, side by side: minutes, hence `make test-long`."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from config.embedded.stores import Stores
from deployments.local import processes
from tests.e2e.conftest import events
from tests.e2e.service import Service

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TICKET = {"subject": "Cannot sync", "body": "My laptop shows FL-204 since this morning."}


@pytest.fixture
def home() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="es-e2e-") as folder:
        service = Service(Path(folder))
        yield service
        service.stop()


def leftovers(service: Service) -> list[psutil.Process]:
    """Every process of this home, its stores included."""
    stores = [status.pid for status in Stores(service.home).status() if status.state == "running"]
    return processes.of_cluster(service.home) + [psutil.Process(pid) for pid in stores if pid]


def queue_of(client: httpx.Client, ticket: str, within_s: float = 90) -> str | None:
    """The ticket's queue, once its job was done; a job that the crash cut off waits for its lease to end."""
    end = time.monotonic() + within_s
    while True:
        answer = client.get(f"/api/v1/tickets/{ticket}")
        assert answer.status_code == 200
        queue: str | None = answer.json()["queue"]
        if queue or time.monotonic() > end:
            return queue
        time.sleep(0.5)


def test_after_kill_9_it_starts_again_nothing_is_lost_and_ctrl_c_stops_everything(home: Service) -> None:
    home.start()
    with home.client("customer") as customer:
        tickets = [customer.post("/api/v1/tickets", json=TICKET).json()["id"] for _ in range(20)]
    home.kill()
    started = time.monotonic()
    home.log.unlink()
    home.start()
    assert time.monotonic() - started < 240
    with home.client("agent") as agent:
        assert all(queue_of(agent, ticket) for ticket in tickets)  # some wait there for an agent with room
    with home.client("customer") as customer:
        conversation = customer.post("/api/v1/chat/conversations", json={}).json()["id"]
        path = f"/api/v1/chat/conversations/{conversation}/messages"
        with customer.stream("POST", path, json={"content": "How do I resolve a sync conflict?"}) as answer:
            assert events(answer)[-1][1]["outcome"] == "answered"
    assert leftovers(home)
    assert home.interrupt() == 0
    assert leftovers(home) == []
    assert not processes.cluster_folder(home.home).exists()


def test_a_second_service_of_the_same_home_is_refused(service: Service) -> None:
    second = service.run("-m", "deployments.local.serve", timeout_s=60)
    assert second.returncode == 1
    assert "a service already runs" in second.stderr
    with service.client(None) as client:
        assert client.get("/readyz").status_code == 200
