"""Looks at the service of a home from every side that answers, and starts nothing.

What does not answer in time is left out: a page about trouble must not be part of it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app import db
from app.analytics import service as analytics
from app.auth.tokens import AccessTokens
from app.jobs import service as jobs
from app.llm import service as llm
from config.embedded.child import StoreFailed
from config.embedded.stores import Stores, unnamed
from config.environment import Environment
from deployments.local import demo, ports, processes
from deployments.local.token import keys

PATIENCE_S = 3.0
EXPORTER_S = 10.0
"""A node's exporter gathers from all its processes; on a busy machine that takes seconds."""
RECENT_S = 900.0
SAMPLE_S = 2.0
ERRORS = 5
LOG_TAIL = 200_000
"""Bytes of a log's end that are read."""
REQUESTS = "ray_eservice_api_request_duration_seconds_count"


@dataclass(slots=True)
class Page:
    """What was found; empty where nothing answered."""

    home: str
    running: bool = False
    ready: dict[str, Any] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    stores: list[dict[str, Any]] = field(default_factory=list)
    queues: list[dict[str, Any]] = field(default_factory=list)
    providers: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


def look(env: Environment) -> Page:
    page = Page(str(env.home))
    stores = Stores(env.home, wanted=unnamed(env))
    page.stores = [
        {"name": each.name, "state": each.state, "port": each.port, "pid": each.pid}
        for each in stores.status()
    ]
    with httpx.Client(timeout=PATIENCE_S) as client:
        page.ready = _json(client, f"http://127.0.0.1:{env.port}/readyz")
        page.deployments = list(_deployments(client, env.home))
        page.running = bool(page.ready or page.deployments)
        if page.running:
            page.figures |= _rates(client, env.home)
    dsn = _dsn(env, stores, {each["name"] for each in page.stores if each["state"] == "running"})
    if dsn:
        with contextlib.suppress(OSError, TimeoutError, db.DatabaseDown):
            asyncio.run(_ask_database(env, stores, dsn, page))
    page.errors = last_errors(processes.cluster_folder(env.home) / "session_latest" / "logs")
    return page


def _json(client: httpx.Client, url: str, **options: Any) -> dict[str, Any]:
    try:
        found = client.get(url, **options).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _deployments(client: httpx.Client, home: Path) -> Iterator[dict[str, Any]]:
    file = home / "run" / "ports.json"
    if not (home / "run" / "ray.json").exists() or not file.exists():
        return
    at = ports.load(file, free=False).dashboard
    for application in (
        _json(client, f"http://127.0.0.1:{at}/api/serve/applications/").get("applications", {}).values()
    ):
        for name, each in application.get("deployments", {}).items():
            states = [replica["state"] for replica in each.get("replicas", [])]
            yield {
                "name": name,
                "status": each["status"],
                "running": states.count("RUNNING"),
                "wanted": each.get("target_num_replicas"),
                "message": each.get("message", ""),
            }


def _rates(client: httpx.Client, home: Path) -> dict[str, float]:
    """Requests and errors a second, from two looks at the nodes' exporters."""
    try:
        before, started = _counted(client, home), time.monotonic()
        time.sleep(SAMPLE_S)
        after, took = _counted(client, home), time.monotonic() - started
    except (httpx.HTTPError, OSError, ValueError):
        return {}
    return {name: round((after[name] - before[name]) / took, 2) for name in after}


def _counted(client: httpx.Client, home: Path) -> dict[str, float]:
    found = {"requests_per_s": 0.0, "errors_per_s": 0.0}
    listed = json.loads((processes.cluster_folder(home) / "prom_metrics_service_discovery.json").read_text())
    for target in {target for group in listed for target in group["targets"]}:
        for family in text_string_to_metric_families(
            client.get(f"http://{target}/metrics", timeout=EXPORTER_S).text
        ):
            for sample in family.samples:
                if sample.name == REQUESTS:
                    found["requests_per_s"] += sample.value
                    found["errors_per_s"] += sample.value if sample.labels["status"] == "5xx" else 0
    return found


def _dsn(env: Environment, stores: Stores, running: set[str]) -> str | None:
    if env.database_url:
        return env.require_database_url()
    if "postgres" not in running:
        return None
    with contextlib.suppress(StoreFailed):
        return stores.addresses().database_url
    return None


async def _ask_database(env: Environment, stores: Stores, dsn: str, page: Page) -> None:
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=PATIENCE_S)
    try:
        async with asyncio.timeout(2 * PATIENCE_S), db.transaction(pool) as conn:
            page.queues = [
                {"kind": kind, "waiting": due, "oldest_s": round(age, 1), "dead": dead}
                for kind, due, age, dead in await jobs.waiting(conn)
            ]
            page.figures |= await llm.recent(conn, RECENT_S)
            day = await analytics.key_figures(conn)
            page.figures |= {f"day_{name}": value for name, value in day.items() if value is not None}
        admin = await demo.identity(dsn, "admin")
    finally:
        pool.terminate()
    if admin and page.ready:
        headers = {"Authorization": f"Bearer {AccessTokens(keys(env, stores), 60).issue(admin)}"}
        url = f"http://127.0.0.1:{env.port}/api/v1/admin/providers"
        with httpx.Client(timeout=PATIENCE_S) as client:
            page.providers = _json(client, url, headers=headers).get("items", [])


def last_errors(folder: Path, at_most: int = ERRORS) -> list[dict[str, Any]]:
    """The newest lines at level error or warning of every replica's log, newest last."""
    lines = (line for file in folder.glob("worker-*.err") for line in _tail(file))
    found = sorted(_complaints(lines), key=lambda line: str(line.get("timestamp", "")))
    return found[-at_most:]


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - LOG_TAIL))
            return log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _complaints(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("level") in {"error", "warning", "critical"}:
                    yield event
