"""What the documents tell people to type, typed at the running service."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from deployments.documents.examples import Example, filled, load
from tests.docs.blocks import Block, everywhere
from tests.docs.test_documents import run
from tests.e2e.service import Service


def test_every_example_of_the_api_works(service: Service) -> None:
    kept = {"password": (service.home / "run" / "demo-password").read_text().strip()}
    roles = {each.role for each in load() if each.role}
    with httpx.Client(base_url=service.url, timeout=60) as client:
        tokens = {role: service.token(role) for role in roles}
        for example in load():
            answer = send(client, example, tokens, kept)
            assert answer.status_code == example.status, f"{example.operation}: {answer.text[:500]}"
            kept |= {name: part(answer, where) for name, where in example.keep.items()}


def send(
    client: httpx.Client, example: Example, tokens: dict[str, str], kept: dict[str, str]
) -> httpx.Response:
    headers = filled(example.headers, kept)
    if example.role:
        headers["Authorization"] = f"Bearer {tokens[example.role]}"
    return client.request(
        example.method,
        filled(example.url, kept),
        headers=headers,
        json=filled(example.body, kept),
        data=filled(example.form, kept) or None,
    )


def part(answer: httpx.Response, where: str) -> str:
    """`id`, `items.0.id`, `header etag`."""
    if where.startswith("header "):
        return answer.headers[where.removeprefix("header ")]
    value: Any = answer.json()
    for step in where.split("."):
        value = value[int(step) if step.isdigit() else step]
    return str(value)


@pytest.mark.parametrize("block", everywhere("run: service"), ids=lambda block: block.name)
def test_blocks_that_want_the_service_run(block: Block, service: Service) -> None:
    here = replace(block, code=block.code.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}"))
    done = run(here, service.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"status":4' not in done.stdout.replace(" ", ""), done.stdout


def test_the_smoke_test_passes(service: Service) -> None:
    service.environ["SMOKE_TOKEN"] = service.token("customer")
    done = service.run("-m", "deployments.kubernetes.smoke", service.url)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "ready",
        "search",
        "answer",
        "ticket",
    ]
    service.environ["SMOKE_TOKEN"] = "nobody's"
    refused = service.run("-m", "deployments.kubernetes.smoke", service.url, "--read-only")
    assert refused.returncode == 1
    assert "search: FAILED" in refused.stderr
