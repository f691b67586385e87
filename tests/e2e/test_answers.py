"""From a question to a cited answer, as a customer's program sees it."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.conftest import events
from tests.e2e.service import ROOT, Service

QUESTIONS = [json.loads(line) for line in (ROOT / "examples/questions.jsonl").read_text().splitlines()]
ANSWERABLE = [q for q in QUESTIONS if q["articles"]][:6]
UNANSWERABLE = [q for q in QUESTIONS if not q["articles"]]


def slug_of(client: httpx.Client, article_id: str) -> str:
    slug: str = client.get(f"/api/v1/knowledge/articles/{article_id}").json()["slug"]
    return slug


def ask(client: httpx.Client, question: str) -> list[tuple[str, Any]]:
    conversation = client.post("/api/v1/chat/conversations", json={}).json()["id"]
    with client.stream(
        "POST", f"/api/v1/chat/conversations/{conversation}/messages", json={"content": question}
    ) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return events(response)


def test_an_answer_is_streamed_and_cites_its_article(customer: httpx.Client) -> None:
    started = time.monotonic()
    said = ask(customer, ANSWERABLE[0]["question"])
    assert time.monotonic() - started < 15
    kinds = [kind for kind, _ in said]
    assert kinds[0] == "meta"
    assert kinds[-1] == "done"
    assert kinds.count("delta") > 5, "the answer must come in pieces"
    assert cited(customer, said) & set(ANSWERABLE[0]["articles"])
    done = said[-1][1]
    assert done["outcome"] == "answered"
    assert done["usage"]["completion_tokens"] > 0


def test_most_answers_cite_a_right_article(customer: httpx.Client) -> None:
    """Two of these are known to miss: being asked to sign in again is closer to the article on sessions."""
    right = [bool(cited(customer, ask(customer, q["question"])) & set(q["articles"])) for q in ANSWERABLE]
    assert sum(right) >= len(right) - 2


def test_search_finds_the_right_article(customer: httpx.Client) -> None:
    """Of 40 questions 36 had theirs first and 39 among three articles when this was written."""
    places = []
    for asked in (q for q in QUESTIONS if q["articles"]):
        body = {"query": asked["question"], "top_k": 5}
        answer = customer.post("/api/v1/knowledge/search", json=body).raise_for_status().json()
        ids = list(dict.fromkeys(item["article_id"] for item in answer["results"]))
        right = [slug_of(customer, each) in asked["articles"] for each in ids[:3]]
        places.append(right.index(True) if True in right else len(ids))
    assert places.count(0) >= 34
    assert sum(place < 3 for place in places) >= 38


def cited(client: httpx.Client, said: list[tuple[str, Any]]) -> set[str]:
    return {slug_of(client, data["article_id"]) for kind, data in said if kind == "citation"}


@pytest.mark.parametrize("question", UNANSWERABLE, ids=lambda q: q["question"][:30])
def test_what_the_knowledge_base_does_not_hold_is_not_answered(
    customer: httpx.Client, question: dict[str, Any]
) -> None:
    said = ask(customer, question["question"])
    assert said[-1][1]["outcome"] == "abstained"
    assert ("handoff", {"reason": "not_found", "offer": "ticket"}) in said
    assert not [data for kind, data in said if kind == "citation"]


def test_the_conversation_remembers_what_was_said(customer: httpx.Client) -> None:
    said = ask(customer, ANSWERABLE[0]["question"])
    conversation = said[0][1]["conversation_id"]
    messages = customer.get(f"/api/v1/chat/conversations/{conversation}/messages").json()["items"]
    assert [m["author"] for m in messages] == ["customer", "assistant"]
    assert messages[1]["content"] == "".join(data["text"] for kind, data in said if kind == "delta")
    assert messages[1]["id"] == said[-1][1]["message_id"]
    assert messages[1]["citations"]
    verdict = {"message_id": messages[1]["id"], "helpful": True}
    judged = customer.post(f"/api/v1/chat/conversations/{conversation}/feedback", json=verdict)
    assert judged.status_code == 204


def test_a_conversation_becomes_a_ticket_once(customer: httpx.Client) -> None:
    conversation = ask(customer, UNANSWERABLE[0]["question"])[0][1]["conversation_id"]
    path = f"/api/v1/chat/conversations/{conversation}/handoff"
    first, second = customer.post(path, json={}), customer.post(path, json={})
    assert first.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert UNANSWERABLE[0]["question"] in first.json()["body"]


def test_the_openai_package_streams_an_answer_with_citations(service: Service) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.token("customer"), max_retries=0)
    stream = client.chat.completions.create(
        model="eservice-assistant",
        messages=[{"role": "user", "content": ANSWERABLE[0]["question"]}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    last = next(c for c in chunks if c.choices and c.choices[0].finish_reason)
    assert len(text) > 20
    assert last.citations  # type: ignore[attr-defined]
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens > 0


def test_the_openai_package_without_streaming(service: Service) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.token("agent"), max_retries=0)
    answer = client.chat.completions.create(
        model="eservice-assistant", messages=[{"role": "user", "content": ANSWERABLE[1]["question"]}]
    )
    assert answer.choices[0].message.content
    assert answer.citations  # type: ignore[attr-defined]
    plain = client.chat.completions.create(
        model="smollm2-135m", messages=[{"role": "user", "content": "Say hello."}], max_tokens=8
    )
    assert plain.choices[0].message.content
    assert plain.usage
    assert plain.usage.completion_tokens <= 8


def test_models_embeddings_and_rerank(service: Service) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.token("agent"), max_retries=0)
    tasks = {card.id: card.task for card in client.models.list()}  # type: ignore[attr-defined]
    embedding = next(name for name, task in tasks.items() if task == "embedding")
    rerank = next(name for name, task in tasks.items() if task == "rerank")
    assert tasks["eservice-assistant"] == "chat"
    made = client.embeddings.create(model=embedding, input=["sync conflict", "two versions of a note"])
    assert [len(item.embedding) for item in made.data] == [384, 384]
    documents = ["Invoices are sent monthly.", "Two people edited the same note offline: a sync conflict."]
    with service.client("agent") as http:
        body = {"model": rerank, "query": "what is a sync conflict?", "documents": documents, "top_n": 1}
        answer = http.post("/v1/rerank", json=body).json()
    assert [result["index"] for result in answer["results"]] == [1]


def test_openai_errors_are_openais(service: Service) -> None:
    customer = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.token("customer"), max_retries=0)
    hello: Any = [{"role": "user", "content": "hello"}]
    with pytest.raises(openai.NotFoundError, match="GET /v1/models"):
        customer.chat.completions.create(model="no-such-model", messages=hello)
    with pytest.raises(openai.PermissionDeniedError):
        customer.chat.completions.create(model="smollm2-135m", messages=hello)
    with pytest.raises(openai.BadRequestError):
        customer.chat.completions.create(model="eservice-assistant", messages=[])
    stranger = openai.OpenAI(base_url=f"{service.url}/v1", api_key="nobody", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_eight_customers_at_once_all_get_an_answer(service: Service) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with service.client("customer") as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda q: ask(client, q["question"]), (ANSWERABLE * 2)[:8]))
    assert [said[-1][1]["outcome"] for said in answers] == ["answered"] * 8


def test_hanging_up_frees_the_model(service: Service, customer: httpx.Client) -> None:
    """Ten clients leave after the first token; the next one is not kept waiting by their answers."""
    for _ in range(10):
        conversation = customer.post("/api/v1/chat/conversations", json={}).json()["id"]
        path = f"/api/v1/chat/conversations/{conversation}/messages"
        with customer.stream("POST", path, json={"content": ANSWERABLE[0]["question"]}) as response:
            next(line for line in response.iter_lines() if line == "event: delta")
    started = time.monotonic()
    first = None
    with customer.stream("POST", path, json={"content": ANSWERABLE[1]["question"]}) as response:
        for line in response.iter_lines():
            if line == "event: delta" and first is None:
                first = time.monotonic() - started
    assert first is not None
    assert first < 6
    kept = customer.get(f"/api/v1/chat/conversations/{conversation}/messages").json()["items"]
    assert [message["outcome"] for message in kept] == [None, "interrupted", None, "answered"]


def test_examples_are_where_the_readme_says() -> None:
    assert len(list(Path(ROOT, "examples/knowledge").glob("*.md"))) >= 40
    assert len((ROOT / "examples/tickets.jsonl").read_text().splitlines()) >= 20
