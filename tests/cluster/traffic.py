"""Customers who do not stop asking: searches, tickets and streamed answers, every failure written down."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

QUESTION = "How do I resolve a sync conflict?"
PAUSE_S = 0.5


@dataclass
class Traffic:
    """`failures` says what, when and how; `tickets` are the ids that were acknowledged."""

    url: str
    tokens: dict[str, str]
    done: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    tickets: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        kinds = (self._search, self._ticket, self._chat, self._version)
        await asyncio.gather(*(self._customer(kind) for kind in kinds))

    async def _customer(self, kind) -> None:  # type: ignore[no-untyped-def]
        headers = {"Authorization": f"Bearer {self.tokens['customer']}"}
        name = kind.__name__.strip("_")
        while not self.ended.is_set():
            # A new connection each time: customers are many, and none of them stays on one proxy.
            async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60) as client:
                begun = time.monotonic()
                try:
                    await kind(client)
                except Exception as error:
                    self.failures.append(f"{time.strftime('%X')} {name}: {error!r}"[:300])
                else:
                    self.done[name] += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            await asyncio.sleep(PAUSE_S)

    async def _search(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/v1/knowledge/search", json={"query": QUESTION})
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"], answer.text

    async def _ticket(self, client: httpx.AsyncClient) -> None:
        made = await client.post("/api/v1/tickets", json={"subject": "Under load", "body": "Please help."})
        assert made.status_code == 201, made.text
        self.tickets.append(made.json()["id"])

    async def _chat(self, client: httpx.AsyncClient) -> None:
        conversation = (await client.post("/api/v1/chat/conversations", json={})).json()["id"]
        path = f"/api/v1/chat/conversations/{conversation}/messages"
        async with client.stream("POST", path, json={"content": QUESTION}) as answer:
            said = (await answer.aread()).decode()
        assert answer.status_code == 200, said
        assert "event: done" in said, said[-500:]

    async def _version(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/openapi.json")
        assert answer.status_code == 200, answer.text
        self.versions[answer.json()["info"]["version"]] += 1
