"""What people see while a part is down, on the running application: the parts are really killed."""

import os
import signal
import time
from typing import Any

import httpx
import psutil
import pytest

from config.embedded.stores import Stores
from deployments.local import processes
from tests.e2e.conftest import events
from tests.e2e.service import Service

QUESTION = "How do I resolve a sync conflict?"


def pid_of(service: Service, store: str) -> int:
    pid = next(s.pid for s in Stores(service.home).status() if s.name == store)
    assert pid
    return pid


def ready(client: httpx.Client, within_s: float = 30) -> dict[str, Any]:
    end = time.monotonic() + within_s
    while True:
        answer: dict[str, Any] = client.get("/readyz").json()
        if answer["status"] == "ok" or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def search(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/api/v1/knowledge/search", json={"query": QUESTION})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def frozen_milvus(service: Service, customer: httpx.Client) -> Any:
    """Milvus Lite holds still, as it does when its machine is swapping: worse than dead."""
    process = psutil.Process(pid_of(service, "milvus"))
    process.suspend()
    yield process
    if process.is_running():
        process.resume()
    ready(customer)


def test_without_milvus_there_is_keyword_search(
    customer: httpx.Client, frozen_milvus: psutil.Process
) -> None:
    found = search(customer)
    assert "milvus" in found["degraded"]
    assert "conflict" in found["results"][0]["title"].lower()
    assert customer.get("/readyz").json()["dependencies"]["milvus"] == "down"


@pytest.mark.parametrize("store", ["postgres", "valkey", "milvus"])
def test_a_killed_store_comes_back_and_nothing_is_lost(
    service: Service, customer: httpx.Client, store: str
) -> None:
    ticket = customer.post("/api/v1/tickets", json={"subject": "Before", "body": "the crash"}).json()["id"]
    os.kill(pid_of(service, store), signal.SIGKILL)
    statuses = [customer.get("/api/v1/tickets?limit=1").status_code for _ in range(5)]
    assert set(statuses) <= {200, 503}
    assert ready(customer)["status"] == "ok"
    assert customer.get(f"/api/v1/tickets/{ticket}").json()["subject"] == "Before"
    assert search(customer)["degraded"] == []


@pytest.mark.long
def test_a_killed_llm_comes_back_and_meanwhile_there_are_passages(
    service: Service, customer: httpx.Client
) -> None:
    conversation = customer.post("/api/v1/chat/conversations", json={}).json()["id"]
    path = f"/api/v1/chat/conversations/{conversation}/messages"
    for process in processes.of_cluster(service.home):
        if "VLLM" in process.name():
            process.kill()
    with customer.stream("POST", path, json={"content": QUESTION}) as response:
        said = events(response)
    assert said[-1][0] == "done"
    assert said[-1][1]["outcome"] in {"degraded", "answered"}
    assert [data for kind, data in said if kind == "citation"]
    assert ready(customer, within_s=240)["dependencies"]["llm"] == "up"
