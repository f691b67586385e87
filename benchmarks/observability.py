"""What it costs to be watched: requests/s of a cheap endpoint with everything on and with everything off.

One cluster, behind HAProxy as `make serve` has it, with two applications that are the same route under the
same middleware: `on` is set up as every replica is (metrics through Ray's exporter, spans over OTLP to a
receiver, JSON logs), `off` is not. Rounds alternate, so that a busy machine is as busy for both.

    python -m benchmarks.observability --json FILE
"""

import argparse
import contextlib
import json
import logging
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import FastAPI
from ray import serve  # noqa: TID251  (two deployments of its own)

from app import main, problems
from app.telemetry import Telemetry
from config import profile
from deployments import observation
from deployments.local.cluster import Cluster
from monitoring import logs
from tests.otlp import receiver

PATHS = {"on": "/on", "off": "/off"}


def cheap(*, watched: bool) -> FastAPI:
    """One route that answers a constant, within all the layers of the application."""
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: str) -> dict[str, str]:
        return {"item": item}

    problems.install(app)
    main.surround(app, profile.load("local"))
    if watched:
        app.add_middleware(Telemetry)
    return app


@serve.deployment(max_ongoing_requests=512, ray_actor_options={"num_cpus": 0.5})
@serve.ingress()
class Watched:
    def __init__(self) -> None:
        observation.set_up()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return cheap(watched=True)


@serve.deployment(max_ongoing_requests=512, ray_actor_options={"num_cpus": 0.5})
@serve.ingress()
class Unwatched:
    def __init__(self) -> None:
        logs.set_up()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return cheap(watched=False)


def watched(_: dict[str, str]) -> serve.Application:
    return Watched.bind()


def unwatched(_: dict[str, str]) -> serve.Application:
    return Unwatched.bind()


def configuration(port: int) -> dict[str, Any]:
    """As `serve_config.yaml`, for the two of them."""
    builders = {"on": watched, "off": unwatched}
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": port},
        "logging_config": {"encoding": "JSON", "enable_access_log": False},
        "applications": [
            {
                "name": name,
                "route_prefix": PATHS[name],
                "import_path": f"benchmarks.observability:{build.__name__}",
                "args": {},
            }
            for name, build in builders.items()
        ],
    }


def wait(port: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    for path in PATHS.values():
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}{path}/items/7", timeout=5).status_code == 200:
                    break
            assert time.monotonic() < end, f"{path} is not up"
            time.sleep(0.3)


def wrk(url: str, seconds: float, connections: int) -> float:
    """Requests a second over that many connections; a client in Python is busier than the service."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    assert "Non-2xx" not in said, said
    return float(found[1])


def measure(port: int, rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {name: [] for name in PATHS}
    for number in range(rounds + 1):  # the first one warms up
        for name in sorted(PATHS, reverse=number % 2 == 0):
            url = f"http://127.0.0.1:{port}{PATHS[name]}/items/7"
            rate = wrk(url, seconds, connections)
            if number:
                found[name].append(round(rate, 1))
    pairs = [on / off for on, off in zip(found["on"], found["off"], strict=True)]
    return {
        "on_requests_per_s": statistics.median(found["on"]),
        "off_requests_per_s": statistics.median(found["off"]),
        "ratio": round(statistics.median(pairs), 3),
        "ratios": [round(pair, 3) for pair in pairs],
        "rounds": found,
        "connections": connections,
    }


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observability", description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with receiver() as spans, tempfile.TemporaryDirectory(prefix="es-bench-") as folder:
        home = Path(folder)
        for name in ("run", "logs"):
            (home / name).mkdir()
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = spans.endpoint
        cluster = Cluster(home)
        os.environ.update(cluster.environ())
        port = int(os.environ.get("ESERVICE_PORT") or 8000)
        try:
            cluster.start()
            cluster.deploy(configuration(port))
            wait(port)
            figures = measure(port, options.rounds, options.seconds, options.connections)
        finally:
            cluster.stop()
        figures["spans_exported"] = len(spans.spans)
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
