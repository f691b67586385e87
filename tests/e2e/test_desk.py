"""Tickets, access and bad input over HTTP, on the running application."""

import time
from typing import Any

import httpx
import psutil
import pytest

from config.embedded.stores import Stores
from deployments.local import processes
from tests.e2e.service import Service

TICKET = {
    "subject": "Charged twice this month",
    "body": "Hi, my card was charged twice for the Team plan in October. Please refund one of them. Thanks",
}


def routed(client: httpx.Client, ticket_id: str, within_s: float) -> dict[str, Any]:
    end = time.monotonic() + within_s
    while True:
        ticket: dict[str, Any] = client.get(f"/api/v1/tickets/{ticket_id}").json()
        if ticket["assignee"] or time.monotonic() > end:
            return ticket
        time.sleep(0.1)


def test_a_ticket_is_routed_within_five_seconds(customer: httpx.Client, agent: httpx.Client) -> None:
    made = customer.post("/api/v1/tickets", json=TICKET)
    assert made.status_code == 201
    assert made.json()["status"] == "new"
    ticket = routed(agent, made.json()["id"], within_s=5)
    assert ticket["queue"] == "billing"
    assert ticket["priority"] in {"low", "normal", "high", "urgent"}
    assert ticket["assignee"]
    assert ticket["language"] == "en"


def test_a_ticket_is_a_conversation(customer: httpx.Client, agent: httpx.Client) -> None:
    ticket = customer.post("/api/v1/tickets", json=TICKET).json()["id"]
    path = f"/api/v1/tickets/{ticket}/messages"
    assert customer.post(path, json={"body": "Any news?"}).status_code == 201
    assert agent.post(path, json={"body": "Checking with finance", "internal": True}).status_code == 201
    assert [m["body"] for m in customer.get(path).json()["items"]] == ["Any news?"]
    assert len(agent.get(path).json()["items"]) == 2


def test_what_was_done_stands_sealed_in_the_audit(service: Service, customer: httpx.Client) -> None:
    made = customer.post("/api/v1/tickets", json=TICKET, headers={"X-Request-ID": "audited"})
    assert made.status_code == 201
    with service.client("admin") as admin:
        end = time.monotonic() + 30
        while True:
            answer = admin.get(
                "/api/v1/admin/audit", params={"cause": "request:audited", "object": "tickets"}
            )
            assert answer.status_code == 200, answer.text
            [entry] = answer.json()["items"]
            if entry["position"] or time.monotonic() > end:
                break
            time.sleep(0.2)
        head = admin.get("/api/v1/admin/audit/head").json()
    assert (entry["action"], entry["object_id"], entry["address"]) == (
        "created",
        made.json()["id"],
        "127.0.0.1",
    )
    assert entry["actor"].startswith("user:")
    assert TICKET["subject"] not in answer.text
    assert head["position"] >= entry["position"] > 0


def test_every_response_carries_a_request_id(service: Service) -> None:
    with service.client(None) as client:
        assert client.get("/healthz").headers["x-request-id"]
        assert client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
        assert client.get("/nothing-here").headers["x-request-id"]


def test_nothing_listens_but_on_loopback(service: Service) -> None:
    """Also what Ray and HAProxy open by themselves."""
    stores = [status.pid for status in Stores(service.home).status()]
    everything = processes.of_cluster(service.home) + [psutil.Process(pid) for pid in stores if pid]
    listening = [
        connection.laddr.ip
        for process in everything
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 10
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_ready_with_every_dependency(service: Service) -> None:
    with service.client(None) as client:
        ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ok"
    assert set(ready.json()["dependencies"].values()) == {"up"}


def test_signing_in_refreshing_and_reuse(service: Service) -> None:
    password = (service.home / "run" / "demo-password").read_text().strip()
    with service.client(None) as client:
        form = {"username": "agent@example.com", "password": password}
        pair = client.post("/api/v1/auth/token", data=form).json()
        assert pair["token_type"] == "bearer"
        newer = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]}).json()
        again = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert again.status_code == 401
        after = client.post("/api/v1/auth/refresh", json={"refresh_token": newer["refresh_token"]})
        assert after.status_code == 401, "reuse revokes the whole family"
        wrong = client.post("/api/v1/auth/token", data=form | {"password": "wrong"})
        assert wrong.status_code == 401
        assert wrong.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/users", 403), ("POST", "/api/v1/routing/preview", 403)],
)
def test_a_customer_may_not(customer: httpx.Client, method: str, path: str, status: int) -> None:
    answer = customer.request(method, path, json={"subject": "a", "body": "b"} if method == "POST" else None)
    assert answer.status_code == status
    assert answer.json()["title"]


def test_bad_input_is_refused_clearly(customer: httpx.Client) -> None:
    missing = customer.post("/api/v1/tickets", json={"subject": "no body"})
    assert missing.status_code == 422
    assert missing.json()["errors"] == [{"field": "body", "message": "Field required"}]
    huge = customer.post("/api/v1/tickets", content=b"x" * 2_000_000)
    assert huge.status_code == 413
    assert "1,048,576" in huge.json()["detail"]
    assert customer.post("/api/v1/tickets", content=b"{").status_code == 422
    assert customer.get("/api/v1/tickets/not-a-uuid").status_code == 422
    with httpx.Client(base_url=customer.base_url) as nobody:
        assert nobody.get("/api/v1/tickets").status_code == 401


def test_what_happens_is_seen_live(customer: httpx.Client, agent: httpx.Client) -> None:
    """From the gateway's transaction through the log to a stream; triage and routing run in the Worker."""
    with agent.stream("GET", "/api/v1/events", timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        ticket = customer.post("/api/v1/tickets", json=TICKET).json()["id"]
        seen: list[str] = []
        kind = ""
        for line in lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and ticket in line:
                seen.append(kind)
            if "ticket.assigned" in seen:
                break
    assert seen == ["ticket.created", "ticket.triaged", "ticket.assigned"]
