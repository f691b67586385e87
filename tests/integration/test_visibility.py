"""Who may see what: random readers and articles over every path, with revocation in mid-conversation."""

import random
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app import db
from app.auth.schemas import Identity, Role
from config.embedded.stores import Addresses
from models.agents.answering import Answerer, Settings
from models.llm.protocol import ChatRequest, Chunk
from models.prompts.tokens import EstimatedCounter
from models.retrieval.milvus import MilvusStore
from models.retrieval.retriever import Retriever
from tests.factories import person
from tests.integration.conftest import Browser
from tests.integration.gateway import NamedReranker
from tests.integration.knowledge import Knowledge, write
from tests.unit.scripted import Scripted, catalogue

TEAMS = ("billing", "emea", "legal")
ROLES: tuple[Role, ...] = ("customer", "customer", "agent", "agent", "supervisor", "admin")
QUESTION = "Which quarterly zebra procedure applies?"
SEED = 20_26


class Echo(Scripted):
    """Says every secret word that stands in its prompt."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.words = [f"{word} " for word in sorted(set(re.findall(r"sesame\w+", str(request))))]
        async for chunk in super().stream(request):
            yield chunk


@dataclass
class Reader:
    """A person and what the test knows of them, apart from what the application computes."""

    who: Identity
    role: Role
    teams: set[str] = field(default_factory=set)

    def may_read(self, visibility: str, teams: set[str]) -> bool:
        match visibility:
            case "public" | "customers":
                return True
            case "agents":
                return self.role != "customer"
            case _:
                return self.role in {"supervisor", "admin"} or bool(self.teams & teams)


@dataclass
class World:
    knowledge: Knowledge
    desk: FastAPI
    browser: Browser
    model: Echo
    articles: dict[str, tuple[str, set[str]]]
    """Visibility and teams by slug; each article has its slug's secret word in it."""
    ids: dict[str, UUID]
    readers: list[Reader]
    random: random.Random
    withdrawn: set[str] = field(default_factory=set)
    """Their new readers find them when they were indexed again."""
    pairs: int = 0
    conversations: dict[UUID, str] = field(default_factory=dict)

    def forbidden(self, reader: Reader) -> set[str]:
        return {slug for slug, readers in self.articles.items() if not reader.may_read(*readers)}

    def assert_clean(self, reader: Reader, path: str, text: str) -> None:
        leaked = {
            slug for slug in self.forbidden(reader) if secret(slug) in text or str(self.ids[slug]) in text
        }
        assert not leaked, f"{path} showed {reader.role} {sorted(reader.teams)} {sorted(leaked)}"
        self.pairs += len(self.articles)


def secret(slug: str) -> str:
    return f"sesame{slug}"


async def build(
    people: int, number: int, knowledge: Knowledge, desk: FastAPI, browser: Browser, folder: Path
) -> World:
    rng = random.Random(SEED)
    folder.mkdir()
    articles = {f"a{n:03}": readers_of(rng, n) for n in range(number)}
    for slug, (visibility, teams) in articles.items():
        fields = {"visibility": visibility} | ({"teams": f"[{', '.join(sorted(teams))}]"} if teams else {})
        write(
            folder,
            slug,
            f"Procedure {secret(slug)}",
            f"The quarterly zebra procedure {secret(slug)}.",
            **fields,
        )
    await knowledge.index(folder)
    rows = await knowledge.pool.fetch("SELECT slug, id FROM articles")
    readers = []
    async with knowledge.pool.acquire() as conn:
        for _ in range(people):
            role = rng.choice(ROLES)
            readers.append(Reader(await person(conn, role), role, {t for t in TEAMS if rng.random() < 0.3}))
    model = Echo("echo")
    world = World(knowledge, desk, browser, model, articles, {r["slug"]: r["id"] for r in rows}, readers, rng)
    await set_teams(world)
    open_state(world)
    return world


def readers_of(rng: random.Random, n: int) -> tuple[str, set[str]]:
    visibility = ("public", "customers", "agents", "teams")[n % 4]
    teams = {rng.choice(TEAMS), rng.choice(TEAMS)} if visibility == "teams" else set[str]()
    return visibility, teams


def open_state(world: World) -> None:
    state, model = world.desk.state.eservice, world.model
    state.retriever = world.knowledge.retriever(per_article=5, candidates=200, rerank=False)
    state.reranker = NamedReranker()
    state.chat_models = catalogue(model)
    state.assistant = Answerer(
        retriever=state.retriever,
        embedder=state.retriever.embedder,
        chat_models=state.chat_models,
        counter=EstimatedCounter(),
        settings=Settings(prompt_tokens=3000, answer_tokens=50, passages=8),
    )


async def set_teams(world: World) -> None:
    admin = await staff(world)
    for team in TEAMS:
        members = [str(reader.who.id) for reader in world.readers if team in reader.teams]
        done = await admin.put(f"/api/v1/knowledge/teams/{team}", json={"members": members})
        assert done.status_code == 200, done.text


async def staff(world: World) -> httpx.AsyncClient:
    async with world.knowledge.pool.acquire() as conn:
        return world.browser(await person(conn, "admin"))


async def revoke(world: World, reader: Reader) -> None:
    """One of the ways in which somebody may lose what they could read a moment ago."""
    pool = world.knowledge.pool
    match world.random.randrange(3):
        case 0:
            slug = world.random.choice(sorted(world.articles))
            world.articles[slug] = ("teams", {"legal"})
            world.withdrawn.add(slug)
            await pool.execute(
                "UPDATE articles SET visibility = 'teams', teams = '{legal}' WHERE slug = $1", slug
            )
        case 1:
            reader.teams.clear()
            await set_teams(world)
        case _:
            reader.role = "customer"
            await pool.execute("UPDATE users SET role = 'customer' WHERE id = $1", reader.who.id)


async def look(world: World, reader: Reader) -> None:
    """Every path but the conversation."""
    client = world.browser(reader.who)
    body = {"query": QUESTION, "top_k": 50, "rerank": False}
    found = await client.post("/api/v1/knowledge/search", json=body)
    assert found.json()["degraded"] == world.desk.state.expect_degraded
    world.assert_clean(reader, "search", found.text)
    allowed = set(world.articles) - world.forbidden(reader)
    seen = {slug for slug in world.articles if secret(slug) in found.text}
    assert seen >= allowed - world.withdrawn, "what may be read is found"
    listed = await client.get("/api/v1/knowledge/articles?limit=100")
    world.assert_clean(reader, "list", listed.text)
    for slug in world.random.sample(sorted(world.articles), 3):
        one = await client.get(f"/api/v1/knowledge/articles/{world.ids[slug]}")
        assert (one.status_code == 200) == (slug in allowed)
    answer = await client.post(
        "/v1/chat/completions",
        json={"model": "eservice-assistant", "messages": [{"role": "user", "content": QUESTION}]},
    )
    world.assert_clean(reader, "/v1", answer.text + str(world.model.requests[-1:]))


async def converse(world: World, reader: Reader) -> None:
    """Ask; the model repeats what it read. What it is given and all that comes back is looked at."""
    client, before = world.browser(reader.who), len(world.model.requests)
    if reader.who.id not in world.conversations:
        made = await client.post("/api/v1/chat/conversations", json={})
        world.conversations[reader.who.id] = made.json()["id"]
    path = f"/api/v1/chat/conversations/{world.conversations[reader.who.id]}/messages"
    said = await client.post(path, json={"content": QUESTION})
    world.assert_clean(reader, "chat", said.text)
    world.assert_clean(reader, "prompt", str(world.model.requests[before:]))
    world.assert_clean(reader, "messages", (await client.get(path)).text)


@pytest.fixture
def knowledge(pool: db.Pool, stores: Addresses) -> Knowledge:
    return Knowledge.new(pool, stores.milvus_uri or "")


async def check(world: World, between: Callable[[World, Reader], Any]) -> None:
    for reader in world.readers:
        await look(world, reader)
        await converse(world, reader)
        await between(world, reader)
        await look(world, reader)
        await converse(world, reader)


@pytest.mark.parametrize("down", [False, True], ids=["milvus", "keywords"])
async def test_nobody_sees_what_is_not_for_them(
    knowledge: Knowledge, desk: FastAPI, browser: Browser, tmp_path: Path, down: bool
) -> None:
    world = await build(6, 24, knowledge, desk, browser, tmp_path / "kb")
    desk.state.expect_degraded = []
    if down:
        fail_over(world)
    await check(world, revoke)
    assert world.pairs > 1_500


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_ten_thousand_pairs(
    knowledge: Knowledge, desk: FastAPI, browser: Browser, tmp_path: Path
) -> None:
    world = await build(200, 50, knowledge, desk, browser, tmp_path / "kb")
    desk.state.expect_degraded = []
    await check(world, revoke)
    assert world.pairs >= 10_000 * 12, "each pair over each path, before and after"


def fail_over(world: World) -> None:
    """Keyword search has the same rules."""
    world.desk.state.expect_degraded = ["milvus"]
    working: Retriever = world.desk.state.eservice.retriever
    working.store = MilvusStore("http://127.0.0.1:9", "nowhere", timeout_s=0.2)
