"""The running service from outside: one trace a request, figures for everything, nobody in either."""

import asyncio
import contextlib
import json
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from config.embedded.child import is_free
from config.embedded.stores import Stores
from deployments.local import processes
from deployments.local.prometheus import arguments, discovery, written
from monitoring import metrics  # noqa: F401  (declares them)
from monitoring.dashboards import BOARDS
from monitoring.instruments import DECLARED
from tests.e2e.conftest import events
from tests.e2e.service import Service, free_port
from tests.integration.upstream import Upstream, served
from tests.otlp import Received, Receiver
from tests.unit.test_monitoring_files import ALERTS, RECORDED

PLANTED = ("Zora Quillfeather", "zora.planted@example.com", "+49 170 5550142", "4111 1111 1111 1111")
QUESTION = f"How do I resolve a sync conflict? I am {PLANTED[0]}, {PLANTED[1]}, {PLANTED[2]}, {PLANTED[3]}."
FRAGMENTS = ("Quillfeather", "zora.planted", "5550142", "4111 1111")
ASKING = "POST /api/v1/chat/conversations/{conversation_id}/messages"
ROUTE = "answers"
SEEN_S = 150
"""What happened is seen by Prometheus well before, also on a machine that does other things: jobs come round
every 15 s, Ray hands on figures every 10 s, they are scraped every 5 s."""


def eventually(check: Callable[[], Any], timeout_s: float = 60) -> Any:
    """`check` until it gives something."""
    end = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.5)
    return found


@contextmanager
def upstream() -> Iterator[str]:
    """A provider that answers, on a loop of its own."""
    loop, known = asyncio.new_event_loop(), threading.Event()
    address: list[str] = []
    end = asyncio.Event()

    async def run() -> None:
        async with served(Upstream()) as url:
            address.append(url)
            known.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert known.wait(10)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


@pytest.fixture(scope="module")
def providers(admin: httpx.Client) -> Iterator[None]:
    """First one where nobody listens, then the real model; beside them one that costs something."""
    path = "/api/v1/admin/providers"
    common = {"kind": "openai_compatible", "context_tokens": 2048}
    with upstream() as url:
        priced = {"prompt_usd_per_million": 1.0, "completion_usd_per_million": 2.0, "base_url": f"{url}/v1"}
        gone = {"name": "gone", "model": "gone", "base_url": f"http://127.0.0.1:{free_port()}/v1", **common}
        for provider in (gone, {"name": "priced", "model": "priced", **common, **priced}):
            put = admin.put(f"{path}/{provider['name']}?check=false", json=provider)
            assert put.status_code == 200, put.text
        lineup = {"name": ROUTE, "providers": ["gone", "self-hosted"]}
        assert admin.put(f"{path}/routes/{ROUTE}", json=lineup).status_code == 200
        time.sleep(4)  # every replica takes it up within two seconds
        yield
        assert admin.post(f"{path}/versions/0/activation").status_code == 200


@pytest.fixture(scope="module")
def asked(service: Service, customer: httpx.Client, providers: None, spans: Receiver) -> list[Received]:
    """One question in a conversation, its trace named by the client; every span of it."""
    trace = secrets.token_hex(16)
    conversation = customer.post("/api/v1/chat/conversations", json={}).json()["id"]
    with customer.stream(
        "POST",
        f"/api/v1/chat/conversations/{conversation}/messages",
        json={"content": QUESTION},
        headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"},
    ) as response:
        said = events(response)
    assert said[-1][1]["outcome"] == "answered", said[-1]

    def whole() -> list[Received]:
        found = spans.trace(trace)
        names = {span.name for span in found}
        wanted = {ASKING, "Assistant.answer", "Embedder.embed", "Reranker.score", "Llm.stream_json"}
        return found if wanted <= names else []

    eventually(whole)
    time.sleep(2)  # what else there is of it
    return spans.trace(trace)


def test_one_question_is_one_tree_over_every_process(asked: list[Received]) -> None:
    by_id = {span.id: span for span in asked}
    roots = [span for span in asked if span.parent not in by_id]
    assert [root.name for root in roots] == [ASKING]
    services = {span.service.removeprefix("eservice-") for span in asked}
    jobs = {"worker", "triage"}  # they go on with it
    assert services - jobs == {"gateway", "assistant", "embedder", "reranker", "llm"}

    def above(span: Received) -> list[str]:
        return [] if span.parent not in by_id else [by_id[span.parent].name, *above(by_id[span.parent])]

    def paths(name: str) -> list[list[str]]:
        return [[*reversed(above(span)), name] for span in asked if span.name == name]

    def path(name: str) -> list[str]:
        return paths(name)[0]

    assert path("Assistant.answer") == [ASKING, "Assistant.answer"]
    embedding = [ASKING, "Assistant.answer", "retrieval total", "retrieval embed"]  # its sentences are too
    assert embedding in [found[:4] for found in paths("Embedder.embed")]
    assert path("Reranker.score")[-3:] == ["retrieval total", "retrieval rerank", "Reranker.score"]
    assert ["retrieval search", "milvus search"] in [found[-2:] for found in paths("milvus search")]
    assert path("Llm.stream_json")[-2:] == ["chat smollm2-135m", "Llm.stream_json"]
    statements = [span for span in asked if span.attributes.get("db.system.name") == "postgresql"]
    assert {span.service for span in statements} >= {"eservice-gateway", "eservice-assistant"}


def test_the_attempt_that_failed_over_is_in_it(asked: list[Received]) -> None:
    attempts = sorted(
        (span for span in asked if span.name.startswith("chat ")),
        key=lambda span: span.attributes["eservice.attempt"],
    )
    first, last = attempts[0], attempts[-1]
    assert first.failed
    assert first.attributes["gen_ai.provider.name"] == "gone"
    assert first.attributes["error.type"] == "connect"
    assert not last.failed
    assert last.attributes["gen_ai.provider.name"] == "self-hosted"
    assert last.attributes["gen_ai.request.model"] == "smollm2-135m"
    assert int(last.attributes["gen_ai.usage.output_tokens"]) > 0
    assert first.parent == last.parent


def test_nobody_is_in_a_span_or_a_log_line(
    service: Service, asked: list[Received], customer: httpx.Client, agent: httpx.Client, spans: Receiver
) -> None:
    draft = {"subject": f"{PLANTED[0]} cannot sign in", "body": QUESTION, "tags": [PLANTED[1]]}
    ticket = customer.post("/api/v1/tickets", json=draft).json()
    agent.post(f"/api/v1/tickets/{ticket['id']}/messages", json={"body": f"Hello {PLANTED[0]}"})
    agent.get("/api/v1/tickets", params={"q": PLANTED[0]})
    agent.get(f"/api/v1/tickets/{PLANTED[1]}")
    agent.post(
        "/v1/chat/completions",
        json={"model": PLANTED[1], "messages": [{"role": "user", "content": QUESTION}]},
    )
    customer.post("/api/v1/knowledge/search", json={"query": QUESTION, "top_k": 3})
    customer.post("/api/v1/auth/token", data={"username": PLANTED[1], "password": PLANTED[0]})
    time.sleep(3)
    said = [span.raw for span in spans.spans]
    assert not [text for text in said if any(part in text for part in FRAGMENTS)]
    logs = processes.cluster_folder(service.home) / "session_latest" / "logs"
    files = [*logs.rglob("*"), *(service.home / "logs").rglob("*"), service.log]
    told = {str(file): file.read_text(errors="replace") for file in files if file.is_file()}
    assert not [name for name, text in told.items() if any(part in text for part in FRAGMENTS)]
    assert any('"trace_id"' in text for text in told.values()), "some line must say which trace it belongs to"


@pytest.fixture(scope="module")
def pushed() -> Iterator[str]:
    """What a Pushgateway does, as far as one job needs it: keep what is put there, give it to who scrapes.

    It takes webhooks, too.
    """
    bodies: dict[str, bytes] = {}

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"".join(bodies.values()))

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Prometheus:
    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)

    def ask(self, query: str) -> list[Any]:
        answer = self.client.get("/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def ready(self) -> bool:
        try:
            return self.client.get("/rules").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def prometheus(
    service: Service, pushed: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    assert is_free(port)
    assert discovery(service.home).exists()
    configuration = written(folder, service.home, every="5s", pushed=pushed)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(arguments(binary, configuration, folder, port), stdout=log, stderr=log)
    try:
        running = Prometheus(port)
        eventually(running.ready, 30)
        yield running
    finally:
        child.terminate()
        child.wait(20)


def traffic(
    service: Service, customer: httpx.Client, agent: httpx.Client, admin: httpx.Client, pushed: str
) -> str:
    """Something of everything; the path of a ticket."""
    conversation = customer.post("/api/v1/chat/conversations", json={}).json()["id"]
    for question in ("How do I merge two vaults?", "What is the boiling point of tungsten on Mars?"):
        customer.post(f"/api/v1/chat/conversations/{conversation}/messages", json={"content": question})
    agent.post(
        "/v1/chat/completions", json={"model": "priced", "messages": [{"role": "user", "content": "Hello"}]}
    )
    budget = {"name": "tests", "holder": "everybody", "period": "month", "limit_usd": 1, "hard_limit_usd": 2}
    assert admin.put("/api/v1/admin/budgets/tests", json=budget).status_code == 200
    hook = {"url": f"http://{pushed}/hook", "event_types": ["ticket.created"]}
    assert admin.post("/api/v1/admin/webhooks", json=hook).status_code == 201
    for _ in range(5):
        made = customer.post(
            "/api/v1/tickets", json={"subject": "Billed twice", "body": "For the Team plan."}
        )
        for _ in range(3):
            customer.get(f"/api/v1/tickets/{made.json()['id']}")
    ticket = f"/api/v1/tickets/{made.json()['id']}"
    assert agent.post(f"{ticket}/messages", json={"body": "It was paid back."}).status_code == 201
    assert agent.post(f"{ticket}/transitions", json={"to": "resolved"}).status_code == 200
    assert customer.post(f"{ticket}/csat", json={"score": 5}).is_success
    source = Path(__file__).parents[2] / "examples" / "knowledge"
    service.environ["ESERVICE_PUSHGATEWAY"] = pushed
    done = service.run("-m", "pipelines.index", "--source", str(source))
    assert done.returncode == 0, done.stderr
    with Stores(service.home, wanted=frozenset({"postgres"})) as addresses:
        assert addresses.database_url
        asyncio.run(_pass_time(addresses.database_url))
    return ticket


async def _pass_time(dsn: str) -> None:
    """Clocks overdue for the next sweep, and figures due now; nobody waits a day, or five minutes, here."""
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(
            "UPDATE sla_clocks SET spent = target, next_at = now() - interval '1 s' WHERE since IS NOT NULL"
        )
        await conn.execute("UPDATE schedules SET next_run_at = now() WHERE kind = 'refresh_analytics'")
    finally:
        await conn.close()


def test_every_metric_has_data_every_query_answers_every_rule_loads(
    service: Service,
    customer: httpx.Client,
    agent: httpx.Client,
    admin: httpx.Client,
    asked: list[Received],
    prometheus: Prometheus,
    pushed: str,
) -> None:
    ticket = traffic(service, customer, agent, admin, pushed)
    missing: set[str] = set()

    def complete() -> bool:
        missing.clear()
        for name, each in DECLARED.items():
            if not prometheus.ask(f"{name}_count" if each.declaration.kind == "histogram" else name):
                missing.add(name)
        return not missing

    try:
        eventually(complete, SEEN_S)
    except AssertionError:
        raise AssertionError(f"no data: {sorted(missing)}") from None
    eventually(lambda: prometheus.ask("sum(sla_breaches) > 0"), SEEN_S)
    groups = prometheus.client.get("/rules").json()["data"]["groups"]
    loaded = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert loaded.keys() == {rule["alert"] for rule in ALERTS} | RECORDED
    assert set(loaded.values()) <= {"ok", "unknown"}

    def silent() -> list[tuple[str, str]]:
        assert customer.get(ticket).status_code == 200  # what moves only before its first scrape has no rate
        return [
            (panel.title, query)
            for board in BOARDS
            for panel in board.panels()
            for query in panel.queries.values()
            if not prometheus.ask(query) and not panel.gpu
        ]

    with contextlib.suppress(AssertionError):
        eventually(lambda: not silent(), SEEN_S)  # rates want two scrapes
    assert not silent()


def test_the_page_for_people_without_grafana(service: Service, asked: list[Received]) -> None:
    def look() -> dict[str, Any] | None:
        done = service.run("-m", "deployments.local.status", "--json")
        assert done.returncode in {0, 1}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found if "requests_per_s" in found["figures"] else None  # left out while the exporter is busy

    page = eventually(look)
    assert {each["name"] for each in page["deployments"]} >= {"Gateway", "Assistant", "Worker", "LLM"}
    assert {each["state"] for each in page["stores"]} == {"running"}
    assert page["ready"]["dependencies"]["postgresql"] == "up"
    assert "self-hosted" in {each["name"] for each in page["providers"]}
    assert page["figures"]["answers"] >= 1
    shown = service.run("-m", "deployments.local.status").stdout
    assert "Gateway" in shown
    assert service.home.name in "".join(shown.split())
