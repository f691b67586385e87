"""Fifty planted strings are nowhere once their person is erased, and everybody else's data still reads."""

import asyncio
import io
import json
import logging
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from redis.asyncio import Redis

from app import cache, db, resealing
from app.cases import jobs as cases
from app.events.relay import Relay
from app.events.sinks.invalidator import Invalidator
from app.events.sinks.redis_stream import RedisStream
from app.jobs.runner import Runner
from app.jobs.schemas import Handler
from app.privacy import erasing
from app.routing import jobs as routing
from app.sla import jobs as sla
from app.tickets import jobs as tickets
from app.triage import forgetting
from config.embedded.stores import Addresses
from config.profile import EventSettings, JobSettings
from deployments.operations import backup
from models.artefacts import Artefacts
from models.llm.catalogue import Catalogue
from models.prompts.tokens import EstimatedCounter
from models.triage.protocol import Triage, Triager
from monitoring import logs
from tests import factories
from tests.integration.test_cases import Loop, loop  # noqa: F401  # a fixture
from tests.integration.whole import Reranker
from tests.planting import API, Desk, Person, Planted, arrive, below, done, found, plant_all
from tests.unit.scripted import DEADLINES, Scripted, link

NOT_KEPT = (
    *("user field", "earlier message", "earlier answer", "embedded text", "knowledge search", "search text"),
    *("previewed subject", "previewed body", "wrong password", "strange address", "refused subject"),
    *("refused field", "refused path", "refused cursor", "refused model", "first name", "last name"),
    *(
        "ticket subject",
        "ticket tag",
        "new tag",
        "custom key",
        "custom value",
        "first rating",
        "first comment",
    ),
    *("idempotency key", "message idempotency key", "budget name", "email"),
)


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Logs as in production, to a standard error that can be read."""
    before = structlog.get_config()
    logs.set_up()
    structlog.configure(cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
    logging.getLogger().handlers.clear()


class Clumsy(Triager):
    """Fails on the tickets that say so, and quotes them in its error."""

    def __init__(self, triager: Triager) -> None:
        self._triager = triager

    async def triage(self, subject: str, body: str) -> Triage:
        if "Paid twice" in body:
            raise ValueError(f"cannot read {body!r}")
        return await self._triager.triage(subject, body)


@asynccontextmanager
async def worker(loop: Loop, redis_url: str) -> AsyncIterator[None]:  # noqa: F811
    """The Worker's jobs and relays; jobs that fail are dead letters at once."""
    pool = loop.knowledge.pool
    state = loop.desk.state.eservice
    handlers: dict[str, Handler] = {
        **routing.handlers(pool, Clumsy(state.triager)),
        **sla.handlers(),
        **tickets.handlers(),
        **resealing.handlers(pool),
        **erasing.handlers(pool, loop),
        **forgetting.handlers(pool, Artefacts("memory://triage")),
        **cases.handlers(pool, loop),
    }
    stop = asyncio.Event()
    settings = JobSettings(poll_s=0.02, max_attempts=2, backoff_base_s=0.01)
    sinks = [
        RedisStream(cache.connect(redis_url, timeout_s=2), "planted:events", 10_000),
        Invalidator(cache.connect(redis_url, timeout_s=2)),
    ]
    parts = [Runner(pool, handlers, settings), *(Relay(pool, sink, EventSettings()) for sink in sinks)]
    running = [asyncio.create_task(part.run(stop)) for part in parts]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*running)


async def settled(pool: db.Pool) -> None:
    waiting = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running') AND run_at < now()"
    async with asyncio.timeout(40):
        while await pool.fetchval(waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.fixture
async def planter(loop: Loop, pool: db.Pool) -> AsyncIterator[Desk]:  # noqa: F811
    app = loop.desk
    app.state.eservice.reranker = Reranker()
    app.state.eservice.embedding_tokens = EstimatedCounter()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def client(token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://desk", headers=headers)

    async with db.transaction(pool) as conn:
        tokens = [
            app.state.sessions.tokens.issue(await factories.person(conn, role)) for role in ("agent", "admin")
        ]
        article = await conn.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    return Desk(client(), client(tokens[0]), client(tokens[1]), str(article))


async def seen(desk: Desk, person: Person) -> dict[str, Any]:
    """All that the desk shows of a person, to them and to agents."""
    shown: dict[str, Any] = {}
    for ticket in person.tickets:
        path = f"{API}/tickets/{ticket}"
        shown[path] = await done(desk.agent.get(path))
        for what in ("messages", "attachments", "events"):
            shown[f"{path}/{what}"] = await done(desk.agent.get(f"{path}/{what}"))
    for conversation in person.conversations:
        path = f"{API}/chat/conversations/{conversation}"
        shown[path] = await done(desk.agent.get(path))
        shown[f"{path}/messages"] = await done(desk.agent.get(f"{path}/messages"))
    return shown


async def exported(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_nothing_planted_is_left(
    loop: Loop,  # noqa: F811
    planter: Desk,
    pool: db.Pool,
    database_url: str,
    stores: Addresses,
    redis: Redis,
    tmp_path: Path,
    lines: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert stores.redis_url
    plant, others = Planted(), Planted()
    words = ["FL-204 ", "The storage is full. ", plant("answer")]
    loop.desk.state.eservice.chat_models = Catalogue([link(Scripted("p0", words=words))], DEADLINES)
    loop.desk.state.eservice.assistant._chat_models = loop.desk.state.eservice.chat_models
    async with worker(loop, stores.redis_url):
        other = await plant_all(planter, others)
        person = await plant_all(planter, plant)
        await settled(pool)
        assert len(plant.strings) >= 50
        said = json.dumps(await exported(planter.admin, f"{API}/users/{person.id}/export"))
        missing = [where for where, text in plant.without(*NOT_KEPT).items() if text not in said]
        assert missing == [], "an export has everything that is kept"
        before = await seen(planter, other)
        assert len(await loop.cases.ids()) >= 3

        receipt = await done(planter.admin.post(f"{API}/users/{person.id}/erasure"), 202)
        assert (await person.client.get(f"{API}/users/me")).status_code == 401, "signed out at once"
        await settled(pool)
        receipt = await done(planter.admin.get(f"{API}/admin/erasures/{receipt['id']}"))
        assert receipt["done_at"]
        assert receipt["removed"]["vectors"] >= 1
        after = await seen(planter, other)
        assert after == before, "everybody else's data still reads"
        gone = json.dumps(await seen(planter, person))
        assert [where for where, text in plant.strings.items() if text in gone] == []
        assert "[erased]" in gone

    places = await everything(database_url, redis, tmp_path)
    (tmp_path / "log").write_text("".join(capfd.readouterr()))
    assert "a person was erased" in (tmp_path / "log").read_text()
    leaks = found(plant.strings, [*places, tmp_path / "log"])
    assert leaks == []
    assert found({"an article": "Yearly plans are refunded"}, places), "it would be found"


async def everything(database_url: str, redis: Redis, folder: Path) -> list[Path]:
    """A dump of the database, and every file of Valkey, the vector store and the stores' logs."""
    dump = folder / "dump.sql"
    await backup._run("pg_dump", database_url, "--format=plain", f"--file={dump}")
    await redis.bgrewriteaof()
    async with asyncio.timeout(20):
        while (await redis.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    home = Path((await redis.config_get("dir"))["dir"]).parent
    folders = [home / "valkey", home / "milvus", home / "logs"]
    assert all(any(below(each)) for each in folders)
    return [dump, *(file for each in folders for file in below(each))]


async def test_who_may(planter: Desk, pool: db.Pool) -> None:
    person = await arrive(planter, Planted())
    path = f"{API}/users/{person.id}"
    for client in (person.client, planter.agent):
        assert (await client.post(f"{path}/erasure")).status_code == 403
        assert (await client.get(f"{path}/export")).status_code == 403
    wrong = await person.client.post(f"{API}/users/me/erasure", json={"email": "x@example.com"})
    assert wrong.status_code == 422
    assert (
        await planter.agent.post(f"{API}/users/me/erasure", json={"email": "x@example.com"})
    ).status_code == 403
    assert (await exported(person.client, f"{API}/users/me/export"))["account.json"][0][
        "email"
    ] == person.email
    asked = await done(person.client.post(f"{API}/users/me/erasure", json={"email": person.email}), 202)
    assert asked["asked_by"] == asked["person_id"] == person.id
    again = await done(planter.admin.post(f"{path}/erasure"), 202)
    assert again["id"] == asked["id"]
    me = (await done(planter.admin.get(f"{API}/users/me")))["id"]
    assert (await planter.admin.post(f"{API}/users/{me}/erasure")).status_code == 409, (
        "the last administrator"
    )
    nobody = "00000000-0000-0000-0000-000000000009"
    assert (await planter.admin.post(f"{API}/users/{nobody}/erasure")).status_code == 404
    assert (await planter.admin.get(f"{API}/users/{nobody}/export")).status_code == 404


async def test_every_table_that_names_a_person_is_exported_or_has_a_reason(conn: db.Connection) -> None:
    """A table added later that refers to a user or a ticket fails here until somebody has thought of it."""
    from app.privacy.holders import HOLDERS

    known = " ".join(part.select for holder in HOLDERS for part in holder.parts)
    rows = await conn.fetch(
        """
        SELECT DISTINCT c.conrelid::regclass::text AS name FROM pg_constraint c
         WHERE c.contype = 'f' AND c.confrelid IN (
               'users'::regclass, 'tickets'::regclass, 'conversations'::regclass, 'messages'::regclass)
        """
    )
    unnamed = {row["name"] for row in rows if row["name"] not in known}
    assert unnamed <= WITHOUT_WORDS.keys(), f"say in tests what becomes of {unnamed - WITHOUT_WORDS.keys()}"


WITHOUT_WORDS = {
    "provider_lineups": "who set the providers, by id",
    "documents": "the desk's own articles; who uploaded them, by id",
    "case_links": "who linked an article, by id",
    "erasures": "receipts, by id",
    "idempotency_keys": "hashes, deleted",
    "ticket_links": "numbers of tickets",
    "ticket_merges": "numbers of tickets",
    "sla_clocks": "times",
    "agent_queues": "of the agent's own row",
    "agent_skills": "of the agent's own row",
    "budget_pots": "figures",
    "triage_questions": "labels",
    "sla_results": "times",
    "indexed_cases": "ids",
}
"""Tables that name a person and hold nothing that anybody wrote."""
