"""The loop closed over HTTP: what solved one customer's question lifts its article for the next."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from app import db
from app.cases import affinities, jobs, renewing, repository
from app.cases.jobs import Shelf
from app.cases.library import PostgresCases
from app.cases.schemas import Imported
from app.jobs import service as queue
from app.jobs.runner import Runner
from app.knowledge import rerankers
from config.embedded.stores import Addresses
from config.profile import JobSettings
from models.agents.answering import Answerer, Settings
from models.embedding.local import LocalEmbedder
from models.llm.catalogue import Catalogue
from models.prompts.tokens import EstimatedCounter
from models.reranking.protocol import Scores
from models.retrieval.cases import CaseMemory
from models.retrieval.milvus import MilvusStore
from models.retrieval.passages import Filters
from models.retrieval.retriever import Candidates, Retriever
from models.retrieval.voters import Voting
from pipelines.evaluation import live
from pipelines.evaluation.cases import asked as asked_again
from pipelines.evaluation.cases import learn_affinity, learn_weights
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.knowledge import Knowledge, prepared, sample, slugs, write
from tests.unit.scripted import DEADLINES, Scripted, link

QUESTION = "The lamp on the lid blinks red when I save, what does it want from me? I am Kim, kim@mail.example"
OTHER_WORDS = "why is there a red blinking lamp on the lid while saving"
ANSWER = ["FL-204 ", "The storage is full."]


@dataclass(slots=True)
class Loop:
    """A desk over a knowledge base of its own, and the jobs that index cases."""

    desk: FastAPI
    knowledge: Knowledge
    cases: MilvusStore
    embedder: LocalEmbedder
    others: list[MilvusStore] = field(default_factory=list)

    def retriever(self, **settings: float) -> Retriever:
        retriever = self.knowledge.retriever(embedder=self.embedder, **settings)
        library = PostgresCases(self.knowledge.pool, self.knowledge.settings.index, self.cases.collection)
        retriever.cases = CaseMemory(self.cases, library, Voting())
        return retriever

    async def wanted(self) -> list[Shelf]:
        """It is the worker's shelves, too: one for each embedder."""
        return [Shelf(store.collection, self.embedder, store) for store in (self.cases, *self.others)]

    async def drop(self, collection: str) -> None:
        await MilvusStore(self.cases.uri, collection).drop()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        pool = self.knowledge.pool
        handlers = {
            **jobs.handlers(pool, self),
            **renewing.handlers(pool, self, first_line=0.7),
        }
        stop = asyncio.Event()
        run = asyncio.create_task(Runner(pool, handlers, JobSettings(poll_s=0.02)).run(stop))
        try:
            yield
        finally:
            stop.set()
            await run

    async def learnt(self) -> None:
        """Let a worker do what waits."""
        waiting = "SELECT count(*) FROM jobs WHERE kind = 'index_case' AND status IN ('queued', 'running')"
        async with self.worker(), asyncio.timeout(30):
            while await self.knowledge.pool.fetchval(waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@pytest.fixture
async def loop(desk: FastAPI, pool: db.Pool, stores: Addresses, tmp_path: Path) -> AsyncIterator[Loop]:
    assert stores.milvus_uri
    knowledge = Knowledge.new(pool, stores.milvus_uri)
    folder = sample(tmp_path / "kb")
    write(folder, "lamps", "Lamps and lids", "The lamp on the lid is red, green or blue. Choose its colour.")
    write(folder, "saving", "Saving", "Notes are saved while you write. Saving is shown at the top.")
    write(
        folder,
        "internal",
        "For agents",
        "A red lamp is a full disk: offer more storage.",
        visibility="agents",
    )
    await knowledge.index(folder)
    cases = MilvusStore(stores.milvus_uri, f"cases_{uuid.uuid4().hex}")
    await cases.ensure(prepared().dimensions)
    made = Loop(desk, knowledge, cases, LocalEmbedder(prepared()))
    state = desk.state.eservice
    state.retriever, state.embedder = made.retriever(), made.embedder
    state.chat_models = Catalogue([link(Scripted("p0", words=ANSWER))], DEADLINES)
    state.assistant = Answerer(
        retriever=state.retriever,
        embedder=made.embedder,
        chat_models=state.chat_models,
        counter=EstimatedCounter(),
        settings=Settings(prompt_tokens=700, answer_tokens=50, passages=6),
    )
    yield made
    await cases.close()
    await knowledge.store.close()
    made.embedder.close()


async def ranking(client: httpx.AsyncClient, query: str = OTHER_WORDS) -> list[str]:
    response = await client.post("/api/v1/knowledge/search", json={"query": query, "top_k": 10})
    assert response.status_code == 200, response.text
    assert response.json()["degraded"] == []
    return list(dict.fromkeys(result["title"] for result in response.json()["results"]))


async def asked(client: httpx.AsyncClient, question: str) -> tuple[str, str]:
    """The conversation and the answer's id."""
    conversation = (await client.post("/api/v1/chat/conversations", json={})).json()["id"]
    path = f"/api/v1/chat/conversations/{conversation}/messages"
    await client.post(path, json={"content": question})
    messages = (await client.get(path)).json()["items"]
    assert [each["title"] for each in messages[-1]["citations"]] == ["Error codes"]
    return conversation, messages[-1]["id"]


async def judged(client: httpx.AsyncClient, conversation: str, message: str, *, helpful: bool) -> None:
    body = {"message_id": message, "helpful": helpful}
    path = f"/api/v1/chat/conversations/{conversation}/feedback"
    assert (await client.post(path, json=body)).status_code == 204


async def test_ask_confirm_ask_in_other_words_revoke(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    first = browser(await factories.person(conn, name="Kim Novak"))
    second = browser(await factories.person(conn))
    agent = browser(await factories.person(conn, "agent"))
    before = await ranking(second)
    assert before[0] != "Error codes"

    conversation, message = await asked(first, QUESTION)
    await loop.learnt()
    assert await ranking(second) == before, "an answer that nobody confirmed teaches nothing"
    await judged(first, conversation, message, helpful=True)
    await loop.learnt()

    assert (await ranking(second))[0] == "Error codes"
    (case,) = (await agent.get("/api/v1/knowledge/cases")).json()["items"]
    assert "Kim" not in case["question"]
    assert "@" not in case["question"]
    article = case["articles"][0]["article_id"]

    path = f"/api/v1/knowledge/cases/{case['id']}/links/{article}"
    assert (await second.delete(path)).status_code == 403
    assert (await agent.delete(path)).status_code == 204
    assert await ranking(second) == before, "at once, before any job ran"
    await loop.learnt()
    assert await ranking(second) == before
    assert await loop.cases.ids() == set()
    await judged(first, conversation, message, helpful=True)
    await loop.learnt()
    assert await ranking(second) == before, "a citation does not bring back what an agent revoked"


async def test_a_verdict_that_is_taken_back(loop: Loop, browser: Browser, conn: db.Connection) -> None:
    customer = browser(await factories.person(conn))
    before = await ranking(customer)
    conversation, message = await asked(customer, QUESTION)
    await judged(customer, conversation, message, helpful=True)
    await loop.learnt()
    assert await ranking(customer) != before
    await judged(customer, conversation, message, helpful=False)
    assert await ranking(customer) == before


async def test_an_agents_link_counts_while_the_ticket_is_solved(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    who = await factories.person(conn)
    ticket = await factories.ticket(conn, who, subject="Red lamp blinks on the lid", body=QUESTION)
    agent, customer = browser(await factories.person(conn, "agent")), browser(who)
    before = await ranking(customer)
    code = await conn.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    path = f"/api/v1/tickets/{ticket.id}"

    assert (await customer.post(f"{path}/articles", json={"article_id": str(code)})).status_code == 403
    linked = await agent.post(f"{path}/articles", json={"article_id": str(code), "via": "suggestion"})
    assert (linked.status_code, linked.json()["confirmed_at"]) == (201, None)
    await loop.learnt()
    assert await ranking(customer) == before, "the ticket is not solved yet"

    async def goes(to: str, by: httpx.AsyncClient) -> None:
        assert (await by.post(f"{path}/transitions", json={"to": to})).status_code == 200
        await loop.learnt()

    await goes("resolved", agent)
    assert (await ranking(customer))[0] == "Error codes"
    await goes("open", customer)
    assert await ranking(customer) == before, "reopened: it was not solved after all"
    await goes("resolved", agent)
    assert (await ranking(customer))[0] == "Error codes"
    assert (await customer.post(f"{path}/csat", json={"score": 1})).status_code in {200, 201}
    assert await ranking(customer) == before, "the customer says so"
    assert (await agent.delete(f"{path}/articles/{code}")).status_code == 204
    assert (await agent.delete(f"{path}/articles/{uuid.uuid4()}")).status_code == 404


async def test_agents_see_similar_cases_and_articles(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    customer, agent = browser(await factories.person(conn)), browser(await factories.person(conn, "agent"))
    await judged(customer, *(await asked(customer, QUESTION)), helpful=True)
    await loop.learnt()
    ticket = await factories.ticket(conn, subject="Lamp", body=OTHER_WORDS)
    found = (await agent.get(f"/api/v1/tickets/{ticket.id}/suggestions")).json()
    assert found["articles"][0]["title"] == "Error codes"
    assert not found["articles"][0]["linked"]
    (case,) = found["cases"]
    assert case["similarity"] > 0.5
    assert [link["title"] for link in case["articles"]] == ["Error codes"]
    assert (await customer.get(f"/api/v1/tickets/{ticket.id}/suggestions")).status_code == 403


async def test_cases_of_staff_and_hidden_articles_do_not_reach_customers(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    agent = await factories.person(conn, "agent")
    customer = browser(await factories.person(conn))
    before = await ranking(customer)
    await judged(browser(agent), *(await asked(browser(agent), QUESTION)), helpful=True)
    ticket = await factories.ticket(conn, subject=OTHER_WORDS, body=QUESTION)
    hidden = await conn.fetchval("SELECT id FROM articles WHERE slug = 'internal'")
    path = f"/api/v1/tickets/{ticket.id}"
    await browser(agent).post(f"{path}/articles", json={"article_id": str(hidden)})
    await browser(agent).post(f"{path}/transitions", json={"to": "resolved"})
    await loop.learnt()
    assert await ranking(customer) == before
    assert {"Error codes", "For agents"} & set((await ranking(browser(agent)))[:2])


async def test_the_store_is_filled_again_from_postgresql(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    customer = browser(await factories.person(conn))
    await judged(customer, *(await asked(customer, QUESTION)), helpful=True)
    await loop.learnt()
    held = await loop.cases.ids()
    assert len(held) == 1
    await loop.cases.delete(list(held))
    await conn.execute("UPDATE schedules SET next_run_at = now() WHERE kind = 'sync_cases'")
    async with loop.worker(), asyncio.timeout(30):
        while await loop.cases.ids() != held:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_without_the_case_store_articles_answer(loop: Loop, conn: db.Connection) -> None:
    retriever = loop.retriever()
    await repository.add_imported(conn, [Imported(key="k", question=QUESTION, articles=())], ["public"])
    assert retriever.cases
    retriever.cases = CaseMemory(
        MilvusStore("http://127.0.0.1:9", "cases", timeout_s=0.5), retriever.cases.library, Voting()
    )
    found = await retriever.retrieve("What is FL-204?", filters=Filters())
    assert found.degraded == ("cases",)
    assert slugs(found.passages)[0] == "codes"


async def test_imported_cases_vote_and_a_question_does_not_find_itself(
    loop: Loop, conn: db.Connection
) -> None:
    code = await conn.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    imported = [Imported(key=f"k{i}", question=QUESTION, articles=(code, uuid.uuid4())) for i in range(2)]
    await repository.add_imported(conn, imported, ["public"])
    await repository.add_imported(conn, imported, ["public"])
    first, second = await repository.confirmed(conn, 10)
    assert first.articles == (code,)
    await jobs.write(await repository.unindexed(conn, "c", 10), loop.embedder, loop.cases)
    found = await loop.retriever().retrieve(QUESTION, filters=Filters(), without_cases=[str(first.id)])
    assert [case.case_id for case in found.cases] == [str(second.id)]


async def test_the_service_is_judged_by_its_own_cases(loop: Loop, conn: db.Connection) -> None:
    """Each is asked without itself: two that are alike find their article by each other."""
    code = await conn.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    questions = [QUESTION, OTHER_WORDS, "What is FL-204?"]
    imported = [Imported(key=f"k{i}", question=each, articles=(code,)) for i, each in enumerate(questions)]
    await repository.add_imported(conn, imported, ["public"])
    await jobs.write(await repository.unindexed(conn, "c", 10), loop.embedder, loop.cases)
    pool, retriever = loop.knowledge.pool, loop.retriever(per_article=1)
    figures = await live.judged(pool, retriever, 10, lambda _: None)
    assert {"dense", "sparse", "fused", "with_cases", "production"} <= figures.keys()
    assert figures["production"]["cases"] == 3
    assert figures["with_cases"]["ndcg@10"] > figures["fused"]["ndcg@10"]
    assert figures["production"]["ndcg@10"] == figures["with_cases"]["ndcg@10"]
    past = await asked_again(pool, retriever, lambda _: None)
    assert await learn_weights(pool, retriever, loop.knowledge.settings.index, past) is None
    assert await learn_affinity(pool, retriever, loop.cases.collection, past) is None


async def test_every_article_that_only_cases_know_is_among_the_candidates_once(
    loop: Loop, conn: db.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    colour = " ".join(["The lid can be painted in any colour you choose, red or green or blue."] * 10)
    write(
        tmp_path / "more",
        "paint",
        "Painting the lid",
        "\n\n".join(f"## Coat {i}\n\n{colour}" for i in range(6)),
    )
    await loop.knowledge.index(tmp_path / "more")
    wanted = {
        slug: await conn.fetchval("SELECT id FROM articles WHERE slug = $1", slug)
        for slug in ("paint", "saving")
    }
    question = "The lamp on the lid is red, green or blue. Choose its colour."
    await repository.add_imported(
        conn,
        [Imported(slug, f"{question} {slug}", (article,)) for slug, article in wanted.items()],
        ["public"],
    )
    await jobs.write_missing(loop.knowledge.pool, (await loop.wanted())[0])
    monkeypatch.setattr("models.retrieval.retriever.LED_PASSAGES", 1)
    found: list[Candidates] = []
    await loop.retriever(candidates=1).retrieve(question, filters=Filters(), observe=found.append)
    assert found[0].ranked
    assert Counter(each.article_id for each in found[0].ranked)[str(wanted["paint"])] == 1, (
        "its best, not all"
    )
    assert {each.article_id for each in found[0].ranked} >= {str(each) for each in wanted.values()}


async def test_what_was_learnt_is_learnt_anew_without_links_that_were_taken_back(
    loop: Loop, conn: db.Connection
) -> None:
    pool, shelf = loop.knowledge.pool, loop.cases.collection
    code, lamps = [
        await conn.fetchval("SELECT id FROM articles WHERE slug = $1", each) for each in ("codes", "lamps")
    ]
    wanted = [(QUESTION, code), (OTHER_WORDS, code), ("What is FL-204?", code), ("A green lid?", lamps)]
    await repository.add_imported(
        conn, [Imported(str(i), text, (article,)) for i, (text, article) in enumerate(wanted)], ["public"]
    )
    cases = await repository.confirmed(conn, 10)
    vectors = await renewing.read([each.question for each in cases], loop.embedder)
    over = await renewing.ground(pool, loop.embedder, first_line=0.7)
    first = await over.learnt(cases, vectors)
    assert first
    await affinities.keep(conn, shelf, first, [each.id for each in cases], {"ndcg@10": 0.5})

    async def lift() -> float:
        standing = await PostgresCases(pool, loop.knowledge.settings.index, shelf).standing()
        assert standing.affinity
        return standing.affinity.lifts(vectors[0], 1.0)[str(code)]

    before = await lift()
    assert before == pytest.approx(first.lifts(vectors[0], 1.0)[str(code)])
    found: list[Candidates] = []
    await loop.retriever().retrieve(QUESTION, filters=Filters(), observe=found.append)
    assert found[0].votes.learnt == {}, "no case is in the vector store: an affinity alone says nothing"

    assert await affinities.outdated(conn, shelf) is None
    await conn.execute("UPDATE case_links SET revoked_at = now() WHERE article_id = $1", code)
    assert await affinities.outdated(conn, shelf) == {"ndcg@10": 0.5}
    await queue.enqueue(conn, renewing.RENEW_AFFINITY, {})
    async with loop.worker(), asyncio.timeout(30):
        while await affinities.outdated(conn, shelf) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await lift() < before

    await conn.execute("DELETE FROM solved_cases")
    await queue.enqueue(conn, renewing.RENEW_AFFINITY, {})
    async with loop.worker(), asyncio.timeout(30):
        while await affinities.version(conn, shelf):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_cases_are_there_for_every_embedder_that_may_answer(
    loop: Loop, browser: Browser, conn: db.Connection
) -> None:
    """A promotion finds them in place; what no index is made with any more is dropped with its vectors."""
    other = MilvusStore(loop.cases.uri, f"cases_{uuid.uuid4().hex}")
    await other.ensure(loop.embedder.dimensions)
    customer = browser(await factories.person(conn))
    first = await asked(customer, QUESTION)
    await judged(customer, *first, helpful=True)
    await loop.learnt()
    loop.others.append(other)

    async def synced(done: Callable[[], Awaitable[bool]]) -> None:
        await conn.execute("UPDATE schedules SET next_run_at = now() WHERE kind = 'sync_cases'")
        async with loop.worker(), asyncio.timeout(30):
            while not await done():  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def has_both() -> bool:
        return await other.ids() == await loop.cases.ids() != set()

    await synced(has_both)
    second = await asked(customer, OTHER_WORDS)
    await judged(customer, *second, helpful=True)
    await loop.learnt()
    assert len(await other.ids()) == 2
    await judged(customer, *second, helpful=False)
    await loop.learnt()
    assert len(await other.ids()) == len(await loop.cases.ids()) == 1

    loop.others.clear()

    async def is_dropped() -> bool:
        return await repository.collections(conn) == {loop.cases.collection}

    await synced(is_dropped)
    await other.close()


class Backwards:
    """Finds the last the best."""

    name = "backwards"

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        return np.arange(len(documents), dtype=np.float32)


async def test_a_trained_rerankers_weight_reaches_every_search(loop: Loop, conn: db.Connection) -> None:
    code = await conn.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    await repository.add_imported(conn, [Imported(key="k", question=QUESTION, articles=(code,))], ["public"])
    retriever = loop.retriever()
    retriever.reranker = Backwards()
    before = slugs((await retriever.retrieve(QUESTION, filters=Filters(), top_k=12, rerank=False)).passages)
    version = await rerankers.add(conn, "reranker/1", weight=100.0, max_tokens=160, figures={}, won=True)
    await rerankers.promote(conn, version.id)
    retriever = loop.retriever()
    retriever.reranker = Backwards()
    after = slugs((await retriever.retrieve(QUESTION, filters=Filters(), top_k=12)).passages)
    assert after == before[::-1]
