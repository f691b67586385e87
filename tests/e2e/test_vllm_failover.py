"""The self-hosted LLM is killed under eight answers; vLLM's own servers go on with them or begin again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from deployments.local import processes
from tests.e2e.service import Service
from tests.e2e.test_outages import QUESTION, ready
from tests.e2e.vllm_server import MODEL

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
AT = "/api/v1/admin/providers"
TOKENS = 120
COUNT = {
    "messages": [{"role": "user", "content": "Count from one to one hundred in words."}],
    "max_tokens": TOKENS,
    "temperature": 0.0,
    "ignore_eos": True,
}


@dataclass
class Told:
    """What one client was told."""

    begun: threading.Event = field(default_factory=threading.Event)
    text: str = ""
    restarts: int = 0
    end: Any = None


@pytest.fixture
def behind(admin: httpx.Client, vllm: str) -> Iterator[None]:
    """`desk` falls back to Anthropic's wire, which begins again, `developers` to OpenAI's, which goes on."""
    hosted = {"model": MODEL, "context_tokens": 1024}
    openai = {"name": "wire-o", "kind": "openai_compatible", "base_url": f"{vllm}/v1", "continues": True}
    claude = {"name": "wire-a", "kind": "anthropic", "base_url": vllm, "api_key_env": "VLLM_API_KEY"}
    for provider in (openai, claude):
        answer = admin.put(f"{AT}/{provider['name']}", json=hosted | provider)
        assert answer.status_code == 200, answer.text
    for name, other in (("desk", "wire-a"), ("developers", "wire-o")):
        route = {"name": name, "providers": ["self-hosted", other]}
        assert admin.put(f"{AT}/routes/{name}", json=route).status_code == 200
    time.sleep(2.5)  # every replica has it by then
    yield
    admin.post(f"{AT}/versions/0/activation")


def streamed(client: httpx.Client, told: Told) -> None:
    body = COUNT | {"model": "developers", "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            data = line.removeprefix("data: ")
            if data in {"", "[DONE]"}:
                continue
            chunk = json.loads(data)
            assert "error" not in chunk, chunk
            told.text += chunk["choices"][0]["delta"].get("content") or ""
            told.end = chunk["choices"][0]["finish_reason"] or told.end
            told.begun.set()


def whole(client: httpx.Client, told: Told) -> None:
    told.begun.set()
    answer = client.post("/v1/chat/completions", json=COUNT | {"model": "desk"}).json()
    assert "error" not in answer, answer
    told.text = answer["choices"][0]["message"]["content"]
    told.end = answer["choices"][0]["finish_reason"]


def asked(client: httpx.Client, told: Told) -> None:
    conversation = client.post("/api/v1/chat/conversations", json={}).json()["id"]
    path = f"/api/v1/chat/conversations/{conversation}/messages"
    kind = ""
    with client.stream("POST", path, json={"content": QUESTION}) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                _note(told, kind, json.loads(line[6:]))


def _note(told: Told, kind: str, data: dict[str, Any]) -> None:
    assert kind != "error", data
    if kind == "delta":
        told.text += data["text"]
        told.begun.set()
    elif kind == "restart":
        told.text, told.restarts = "", told.restarts + 1
    elif kind == "done":
        told.end = data


CLIENTS: list[Callable[[httpx.Client, Told], None]] = [streamed] * 4 + [whole] * 2 + [asked] * 2


def test_the_llm_is_killed_under_eight_answers(service: Service, agent: httpx.Client, behind: None) -> None:
    told = [Told() for _ in CLIENTS]
    with ThreadPoolExecutor(len(CLIENTS)) as threads:
        answers: list[Future[None]] = [
            threads.submit(ask, agent, each) for ask, each in zip(CLIENTS, told, strict=True)
        ]
        for each, answer in zip(told, answers, strict=True):
            assert each.begun.wait(60), answer.exception(timeout=0)
        time.sleep(0.3)
        killed = [p for p in processes.of_cluster(service.home) if "VLLM" in p.name()]
        for process in killed:
            process.kill()
        for answer in answers:
            answer.result(timeout=120)
    assert killed
    assert all(each.text.strip() for each in told)
    assert [each.end for each in told[:4]] == ["length"] * 4, "complete: as long as they were allowed to be"
    assert all(each.end for each in told[4:6])
    assert {each.end["outcome"] for each in told[6:]} == {"answered"}
    assert all(each.restarts <= 1 for each in told)
    attempts = [a for each in told[6:] for a in each.end["attempts"]]
    print([(each.restarts, len(each.text), each.end if isinstance(each.end, str) else "") for each in told])
    print([(a["provider"], a["outcome"], a["first_token_ms"], a["total_ms"]) for a in attempts])
    assert ready(agent, within_s=300)["dependencies"]["llm"] == "up"
