"""The real application over HTTP, with the real SmolLM2: one service for this folder."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config import environment
from tests.e2e import vllm_server
from tests.e2e.service import Service
from tests.otlp import Receiver, receiver

START_AND_ANSWER_S = 600
"""The first test waits for the service to start, which takes minutes on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_AND_ANSWER_S))


@pytest.fixture(scope="package")
def spans() -> Iterator[Receiver]:
    """Where the service sends every span."""
    with receiver() as found:
        yield found


@pytest.fixture(scope="package")
def service(spans: Receiver) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="es-e2e-") as folder:
        running = Service(Path(folder))
        running.environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint,
            "OTEL_TRACES_SAMPLER_ARG": "1",
            "ESERVICE_TRACES_PER_S": "1000",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="package")
def customer(service: Service) -> Iterator[httpx.Client]:
    with service.client("customer") as client:
        yield client


@pytest.fixture(scope="package")
def agent(service: Service) -> Iterator[httpx.Client]:
    with service.client("agent") as client:
        yield client


@pytest.fixture(scope="package")
def admin(service: Service) -> Iterator[httpx.Client]:
    with service.client("admin") as client:
        yield client


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """The named server-sent events of a response."""
    found = []
    for block in response.read().decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture(scope="package")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM's own server."""
    folder = environment.read().models / vllm_server.MODEL
    if not folder.is_dir():
        pytest.skip(f"{vllm_server.MODEL} is not prepared: run `make serve` once")
    with vllm_server.serving(folder, tmp_path_factory.mktemp("vllm") / "log") as url:
        yield url
