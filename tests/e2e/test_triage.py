"""A version of triage is promoted and rolled back while the desk is busy."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.service import ROOT, Service

TICKET = {"subject": "Charged twice", "body": "My card was charged twice for the Team plan."}
STRANGE = {
    "subject": "Zxqv Jupiter",
    "body": "Wann sieht man heute Nacht die vier Monde durch mein Fernrohr?",
}
CONNECTIONS = 4
TAKEN_UP_S = 15.0
SAMPLES = str(ROOT / "examples" / "tickets.jsonl")


class Load:
    """Asks for triage over some connections until it is stopped; remembers what was answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stop = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self.newest = ""

    def ask(self) -> None:
        with self.service.client("agent") as client:
            while not self.stop.is_set():
                answer = client.post("/api/v1/routing/preview", json=TICKET)
                self.statuses[answer.status_code] += 1
                self.newest = answer.json().get("triage", {}).get("version", "")
                self.versions[self.newest] += 1

    def until(self, version: str) -> None:
        end = time.monotonic() + TAKEN_UP_S
        while self.newest != version:
            assert time.monotonic() < end, f"{version} was not taken up within {TAKEN_UP_S} s"
            time.sleep(0.05)


@pytest.mark.long
def test_promoted_and_rolled_back_under_load(
    service: Service, admin: httpx.Client, customer: httpx.Client, agent: httpx.Client
) -> None:
    versions = "/api/v1/admin/triage/versions"
    before = _active(admin.get(versions).json()["items"])
    trained = service.run("-m", "pipelines.train", "triage", "--train", SAMPLES, timeout_s=240)
    assert trained.returncode == 0, trained.stderr
    newest = admin.get(versions).json()["items"][0]["id"]
    assert admin.post(f"{versions}/{newest}/promote", json={}).status_code == 409, "it has not won"
    assert admin.post(f"{versions}/{newest}/shadow").json()["state"] == "shadow"
    load = Load(service)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        asking = [threads.submit(load.ask) for _ in range(CONNECTIONS)]
        try:
            load.until(before)
            read = _triaged(customer, agent)
            admin.post(f"{versions}/{newest}/promote", json={"without_proof": "a test"}).raise_for_status()
            load.until(newest)
            assert admin.post("/api/v1/admin/triage/rollback").json()["id"] == before
            load.until(before)
        finally:
            load.stop.set()
        for each in asking:
            each.result()
    print(f"{load.statuses} answers by {load.versions}")
    assert set(load.statuses) == {200}
    assert set(load.versions) == {before, newest}
    assert read["triage"]["version"] == before
    assert admin.get(f"{versions}/{newest}/standing").json()["decided"] >= 1, "the shadow read it too"


def _active(items: list[dict[str, Any]]) -> str:
    return next(str(each["id"]) for each in items if each["state"] == "active")


def _triaged(customer: httpx.Client, agent: httpx.Client) -> dict[str, Any]:
    made = customer.post("/api/v1/tickets", json=TICKET).raise_for_status().json()
    path = f"/api/v1/tickets/{made['id']}"
    end = time.monotonic() + 20
    while time.monotonic() < end:
        ticket: dict[str, Any] = agent.get(path).raise_for_status().json()
        if ticket["triage"]:
            return ticket
        time.sleep(0.1)
    raise AssertionError("the ticket was not triaged")


def test_a_label_without_examples_is_asked_of_the_real_llm(
    admin: httpx.Client, customer: httpx.Client, agent: httpx.Client
) -> None:
    """vLLM decodes under the schema: what comes back is one of the labels, and a person has the ticket."""
    label = "/api/v1/admin/triage/labels/stargazing"
    draft = {"description": "Stars, planets, telescopes and what can be seen tonight", "queue": "triage"}
    assert admin.put(label, json=draft).status_code == 200
    try:
        made = customer.post("/api/v1/tickets", json=STRANGE).json()["id"]
        events = _until_assigned(agent, f"/api/v1/tickets/{made}")
    finally:
        admin.delete(label)
    triaged = [event["data"] for event in events if event["kind"] == "triaged"]
    assert len(triaged) == 2, "once by the model, once with the LLM's answer"
    assert triaged[0]["intent"] is None
    print(triaged[1]["source"], triaged[1]["intent"], triaged[1]["reasons"][0])
    assert triaged[1]["intent"] is None or triaged[1]["intent"]["name"] == "stargazing"


def _until_assigned(agent: httpx.Client, path: str) -> list[dict[str, Any]]:
    end = time.monotonic() + 60
    while not agent.get(path).json()["assignee"]:
        assert time.monotonic() < end, agent.get(f"{path}/events").text
        time.sleep(0.2)
    found: list[dict[str, Any]] = agent.get(f"{path}/events").json()["items"]
    return sorted(found, key=lambda event: event["id"])
