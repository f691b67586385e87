"""Plants strings over HTTP wherever a text of a person can get, and finds them in files, however encoded."""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

API = "/api/v1"
PASSWORD = "a password for planting"


@dataclass
class Planted:
    """What was planted, by where: each string stands nowhere else in the world."""

    strings: dict[str, str] = field(default_factory=dict)

    def __call__(self, where: str) -> str:
        return self.strings.setdefault(where, f"q{len(self.strings):02d}{secrets.token_hex(7)}z")

    def without(self, *places: str) -> dict[str, str]:
        return {where: text for where, text in self.strings.items() if where not in places}


@dataclass(frozen=True)
class Desk:
    """The service, and people who work at it; everything goes through them."""

    nobody: httpx.AsyncClient
    agent: httpx.AsyncClient
    admin: httpx.AsyncClient
    article: str
    """An article's id, to solve a ticket with."""


@dataclass
class Person:
    id: str
    email: str
    client: httpx.AsyncClient
    tickets: list[str] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)


async def done(asked: Any, *statuses: int) -> Any:
    response = await asked
    allowed = statuses or (200, 201, 202, 204)
    assert response.status_code in allowed, f"{response.request.url}: {response.status_code} {response.text}"
    with suppress(ValueError):
        return response.json()


async def arrive(desk: Desk, plant: Planted) -> Person:
    """An account with planted name and address, signed in by its password."""
    email = f"{plant('email')}@mail.example"
    draft = {"email": email, "name": f"{plant('first name')} {plant('last name')}", "password": PASSWORD}
    made = await done(desk.admin.post(f"{API}/users", json=draft))
    pair = await done(desk.nobody.post(f"{API}/auth/token", data={"username": email, "password": PASSWORD}))
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    client = httpx.AsyncClient(
        transport=desk.nobody._transport, base_url=desk.nobody.base_url, headers=headers, timeout=60
    )
    return Person(made["id"], email, client)


async def plant_all(desk: Desk, plant: Planted) -> Person:
    person = await arrive(desk, plant)
    await _account(desk, person, plant)
    await _ticket(desk, person, plant)
    await _merged(desk, person, plant)
    await _conversation(desk, person, plant)
    await _model(desk, person, plant)
    await _refused(desk, person, plant)
    return person


async def _account(desk: Desk, person: Person, plant: Planted) -> None:
    key = {"name": plant("key name"), "scopes": ["tickets:read", "models"]}
    await done(person.client.post(f"{API}/api-keys", json=key))
    await done(desk.admin.patch(f"{API}/users/{person.id}", json={"name": f"New {plant('new name')}"}))
    await done(desk.admin.put(f"{API}/sla/customers/{person.id}/tier", json={"tier": "gold"}))
    budget = {
        "name": plant("budget name"),
        "holder": "user",
        "user_id": person.id,
        "limit_usd": 50,
        "hard_limit_usd": 90,
    }
    await done(desk.admin.put(f"{API}/admin/budgets/{budget['name']}", json=budget))


async def _ticket(desk: Desk, person: Person, plant: Planted) -> None:
    draft = {
        "subject": f"Lamp on the lid {plant('ticket subject')}",
        "body": f"My name is {plant('name in body')}. The lamp blinks red: {plant('ticket body')}.",
        "tags": [plant("ticket tag")],
        "custom": {plant("custom key"): {"deep": [plant("custom value")]}},
    }
    key = {"Idempotency-Key": plant("idempotency key")}
    ticket = (await done(person.client.post(f"{API}/tickets", json=draft, headers=key)))["id"]
    assert (await done(person.client.post(f"{API}/tickets", json=draft, headers=key)))["id"] == ticket
    person.tickets.append(ticket)
    path = f"{API}/tickets/{ticket}"
    key = {"Idempotency-Key": plant("message idempotency key")}
    said = {"body": f"More of it: {plant('customer message')}"}
    message = await done(person.client.post(f"{path}/messages", json=said, headers=key))
    for body, internal in ((plant("agent reply"), False), (plant("internal note"), True)):
        note = {"body": f"About {body}", "internal": internal}
        await done(desk.agent.post(f"{path}/messages", json=note))
    change = {
        "subject": f"Lamp {plant('new subject')}",
        "tags": [plant("new tag")],
        "custom": {"plan": plant("new custom")},
    }
    await done(desk.agent.patch(path, json=change, headers={"If-Match": "*"}))
    bulk = [
        {"action": "message", "ticket_id": ticket, "change": {"body": plant("bulk message")}},
        {"action": "patch", "ticket_id": ticket, "change": {"tags": [plant("bulk tag")]}},
    ]
    await done(desk.agent.post(f"{API}/tickets/bulk", json={"operations": bulk}))
    file = {
        "name": f"{plant('file name')}.txt",
        "media_type": "text/plain",
        "size_bytes": 5,
        "sha256": secrets.token_hex(32),
        "url": f"https://files.example/{plant('file url')}",
        "message_id": message["id"],
    }
    await done(person.client.post(f"{path}/attachments", json=file))
    internal = file | {"name": plant("internal file name"), "internal": True, "message_id": None}
    await done(desk.agent.post(f"{path}/attachments", json=internal))
    await done(desk.agent.get(path))  # the cache has it now
    await done(desk.agent.get(f"{API}/tickets", params={"q": plant("search text")}))
    await done(desk.agent.post(f"{path}/articles", json={"article_id": desk.article}))
    await done(desk.agent.post(f"{path}/transitions", json={"to": "resolved"}))
    for where in ("first rating", "second rating"):
        await done(person.client.post(f"{path}/csat", json={"score": 5, "comment": plant(where)}))


async def _merged(desk: Desk, person: Person, plant: Planted) -> None:
    ids = []
    for n in ("merged", "remaining"):
        draft = {"subject": f"Invoice {plant(f'{n} subject')}", "body": f"Paid twice {plant(f'{n} body')}"}
        ids.append((await done(person.client.post(f"{API}/tickets", json=draft)))["id"])
    await done(desk.agent.post(f"{API}/tickets/{ids[0]}/merge", json={"into": ids[1]}))
    person.tickets += ids


async def _conversation(desk: Desk, person: Person, plant: Planted) -> None:
    made = await done(person.client.post(f"{API}/chat/conversations", json={"title": plant("title")}))
    path = f"{API}/chat/conversations/{made['id']}"
    person.conversations.append(made["id"])
    for question in (
        f"The lamp on the lid blinks red when I save, I am {plant('question')}",
        f"And what does FL-204 mean, asks {plant('second question')}?",
    ):
        answer = await done(person.client.post(f"{path}/messages", json={"content": question}))
        assert answer is None, "events, not JSON"
    said = (await done(person.client.get(f"{path}/messages")))["items"]
    for where, helpful in (("first comment", False), ("second comment", True)):
        verdict = {"message_id": said[-1]["id"], "helpful": helpful, "comment": plant(where)}
        await done(person.client.post(f"{path}/feedback", json=verdict))
    handed = await done(person.client.post(f"{path}/handoff", json={"subject": plant("handed over")}))
    person.tickets.append(handed["id"])


async def _model(desk: Desk, person: Person, plant: Planted) -> None:
    chat = {
        "model": "eservice-assistant",
        "user": plant("user field"),
        "messages": [
            {"role": "user", "content": f"I am {plant('earlier message')}"},
            {"role": "assistant", "content": f"Hello {plant('earlier answer')}"},
            {"role": "user", "content": f"How do I merge copies, asks {plant('asked under v1')}?"},
        ],
    }
    await done(person.client.post("/v1/chat/completions", json=chat), 200, 503)
    models = (await done(person.client.get("/v1/models")))["data"]
    embedder = next(each["id"] for each in models if each["task"] == "embedding")
    wish = {"model": embedder, "input": [plant("embedded text")]}
    await done(person.client.post("/v1/embeddings", json=wish))
    search = {"query": f"red lamp {plant('knowledge search')}"}
    await done(person.client.post(f"{API}/knowledge/search", json=search))
    preview = {"subject": plant("previewed subject"), "body": plant("previewed body")}
    await done(desk.agent.post(f"{API}/routing/preview", json=preview))


async def _refused(desk: Desk, person: Person, plant: Planted) -> None:
    """What comes to nothing must not come into a log either."""
    wrong = {"username": person.email, "password": plant("wrong password")}
    await done(desk.nobody.post(f"{API}/auth/token", data=wrong), 401)
    stranger = {"username": f"{plant('strange address')}@mail.example", "password": PASSWORD}
    await done(desk.nobody.post(f"{API}/auth/token", data=stranger), 401)
    await done(person.client.post(f"{API}/tickets", json={"subject": plant("refused subject")}), 422)
    await done(person.client.post(f"{API}/tickets", json={plant("refused field"): 1}), 422)
    await done(person.client.get(f"{API}/{plant('refused path')}"), 404)
    await done(person.client.get(f"{API}/tickets", params={"cursor": plant("refused cursor")}), 422)
    await done(person.client.post("/v1/chat/completions", json={"model": plant("refused model")}), 400)


def encodings(text: str) -> Iterator[bytes]:
    """As it is, in hexadecimal, in base64 at each of its three places, in UTF-16."""
    raw = text.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield text.encode("utf-16-le")
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
    yield text.upper().encode()


def found(strings: dict[str, str], files: Iterable[Path]) -> list[str]:
    """`where it was planted: file` for each string that is in a file."""
    needles = [(where, set(encodings(text))) for where, text in strings.items()]
    leaks = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:  # gone, or a socket
            continue
        leaks += [f"{where}: {file}" for where, forms in needles if any(form in content for form in forms)]
    return leaks


def below(folder: Path) -> Iterator[Path]:
    yield from (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())


def text_of(archive: dict[str, Any]) -> str:
    return json.dumps(archive, ensure_ascii=False)
