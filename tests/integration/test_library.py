"""Articles and uploads over HTTP, and the worker's share in them."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import db
from config.embedded.stores import Addresses
from models.retrieval.passages import Filters
from pipelines.indexing.run import Settings
from tests.factories import person
from tests.integration.conftest import Browser
from tests.integration.knowledge import slugs
from tests.integration.library import Library
from tests.unit.pages import pdf
from tests.unit.test_documents import zipped

PATH = "/api/v1/knowledge"
BODY = "\n\n".join(
    f"## Part {n}\n\n" + f"The {word} of the device is kept in the {word} drawer. " * 12
    for n, word in enumerate(("battery", "charger", "manual"))
)


@pytest.fixture
async def library(
    pool: db.Pool, database_url: str, stores: Addresses, desk: FastAPI
) -> AsyncIterator[Library]:
    """An empty index that answers."""
    made = Library.at(pool, database_url, stores, collection=f"t{uuid.uuid4().hex[:12]}")
    description = Settings.of(made.profile, made.environment).description
    await pool.execute(
        "INSERT INTO indexes (name, embedder, dimensions, chunker, active) VALUES ($1, $2, $3, $4, true)",
        made.profile.retrieval.collection,
        *description.values(),
    )
    await made.store(made.profile.retrieval.collection).ensure(description["dimensions"])
    live = made.retriever()
    desk.state.eservice.retriever = live
    yield made
    await live.close()


@pytest.fixture
async def admin(browser: Browser, conn: db.Connection) -> httpx.AsyncClient:
    return browser(await person(conn, "admin"))


@pytest.fixture
async def customer(browser: Browser, conn: db.Connection) -> httpx.AsyncClient:
    return browser(await person(conn, "customer"))


async def titles(client: httpx.AsyncClient, query: str) -> list[str]:
    found = await client.post(f"{PATH}/search", json={"query": query, "top_k": 10})
    assert found.json()["degraded"] == []
    return [each["title"] for each in found.json()["results"]]


async def test_an_article_is_written_found_edited_hidden_and_deleted(
    library: Library, admin: httpx.AsyncClient, customer: httpx.AsyncClient
) -> None:
    draft = {"slug": "drawers", "title": "Where things are", "body": BODY}
    made = await admin.post(f"{PATH}/articles", json=draft)
    assert made.status_code == 201, made.text
    article, tag = made.headers["Location"], made.headers["ETag"]
    await library.work(library.idle)
    assert await titles(customer, "Where is the charger?") == ["Where things are"] * 2
    embedded = len(library.embedder.texts)

    body = BODY.replace("## Part 1", "## Part 1\n\nNew: it moved.", 1)
    edited = await admin.patch(article, json={"body": body}, headers={"If-Match": tag})
    assert edited.json()["version"] == 2
    await library.work(library.idle)
    fresh = [text for text in library.embedder.texts[embedded:] if "device" in text]
    assert len(fresh) == 1, "only the changed chunk is embedded again"
    assert "it moved" in fresh[0]
    assert await signed(library) == await library.pool.fetchval("SELECT count(*) FROM chunks") > 1

    stale = await admin.patch(article, json={"title": "x"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert (await admin.patch(article, json={"title": "x"})).status_code == 428

    hidden = await admin.patch(
        article, json={"visibility": "teams", "teams": ["a"]}, headers={"If-Match": edited.headers["ETag"]}
    )
    assert hidden.status_code == 200, hidden.text
    assert await titles(customer, "Where is the charger?") == [], "at once, before any indexing"
    assert (await customer.get(article)).status_code == 404
    await library.work(library.idle)
    assert await titles(admin, "Where is the charger?") == ["Where things are"] * 2

    assert (await admin.delete(article)).status_code == 204
    assert await titles(admin, "Where is the charger?") == []
    await library.work(library.idle)
    assert await library.store(library.profile.retrieval.collection).count() == 0
    assert await signed(library) == 0


async def signed(library: Library) -> int:
    """Chunks with the signs of their tokens."""
    return int(await library.pool.fetchval("SELECT count(*) FROM chunk_signs"))


@pytest.mark.parametrize(
    "fields",
    [
        {"slug": "../x"},
        {"body": " "},
        {"visibility": "teams"},
        {"visibility": "public", "teams": ["a"]},
        {"visibility": "secret"},
        {"unknown": 1},
    ],
)
async def test_bad_articles_are_refused(admin: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    draft = {"slug": "a", "title": "A", "body": "Text."} | fields
    assert (await admin.post(f"{PATH}/articles", json=draft)).status_code == 422


async def test_customers_and_agents_write_nothing(
    customer: httpx.AsyncClient, browser: Browser, conn: db.Connection
) -> None:
    for client in (customer, browser(await person(conn, "agent"))):
        draft = {"slug": "a", "title": "A", "body": "Text."}
        assert (await client.post(f"{PATH}/articles", json=draft)).status_code == 403
        assert (await client.post(f"{PATH}/documents", files={"file": ("a.md", b"x")})).status_code == 403
        assert (await client.post(f"{PATH}/indexes", json={})).status_code == 403
        assert (await client.post(f"{PATH}/indexes/rollback")).status_code == 403
        assert (await client.get(f"{PATH}/teams")).status_code == 403


async def test_an_upload_is_read_indexed_replaced_and_removed(
    library: Library, admin: httpx.AsyncClient, customer: httpx.AsyncClient
) -> None:
    taken = await admin.post(
        f"{PATH}/documents", files={"file": ("guide.pdf", pdf())}, data={"visibility": "public"}
    )
    assert taken.status_code == 202, taken.text
    assert taken.json()["status"] == "queued"
    document = taken.headers["Location"]
    await library.work(library.idle)
    state = (await admin.get(document)).json()
    assert (state["status"], state["articles"], state["problems"]) == ("ready", 1, [])
    found = await customer.post(f"{PATH}/search", json={"query": "What does FL-204 mean?"})
    assert "The storage is full" in found.json()["results"][0]["text"]

    members = {"a.md": b"# Kept\n\nThe lantern procedure.", "bad.pdf": b"no"}
    for content in (zipped(members | {"b.md": b"# Gone\n\nThe lantern exception."}), zipped(members)):
        taken = await admin.post(
            f"{PATH}/documents",
            files={"file": ("kb.zip", content)},
            data={"visibility": "teams", "teams": ["a"]},
        )
        await library.work(library.idle)
    state = (await admin.get(taken.headers["Location"])).json()
    assert (state["status"], state["articles"]) == ("ready", 1)
    assert state["problems"] == [{"where": "kb.zip!bad.pdf", "reason": "is no readable PDF"}]
    there = await titles(admin, "lantern procedure")
    assert "Kept" in there
    assert "Gone" not in there
    assert "Kept" not in await titles(customer, "lantern procedure")

    assert (await admin.delete(document)).status_code == 204
    assert "Sync guide" not in await titles(customer, "What does FL-204 mean?")
    assert len((await admin.get(f"{PATH}/documents?limit=1")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("virus.exe", b"MZ", 415, "not of a kind"),
        ("", b"x", 422, ""),
        ("sitemap.xml", b"<urlset/>", 415, "not of a kind"),
        ("empty.md", b"", 422, "empty"),
        ("large.md", b"x" * (21 << 20), 413, "larger than"),
    ],
)
async def test_uploads_that_are_refused_say_why(
    admin: httpx.AsyncClient, name: str, content: bytes, status: int, said: str
) -> None:
    answer = await admin.post(f"{PATH}/documents", files={"file": (name, content)})
    assert answer.status_code == status, answer.text
    assert said in answer.text


async def test_an_upload_nothing_can_be_read_of_has_failed(
    library: Library, admin: httpx.AsyncClient
) -> None:
    taken = await admin.post(f"{PATH}/documents", files={"file": ("broken.docx", b"PK no")})
    await library.work(library.idle)
    state = (await admin.get(taken.headers["Location"])).json()
    assert state["status"] == "failed"
    assert state["problems"] == [{"where": "broken.docx", "reason": "is no Word document"}]


async def test_an_index_is_built_promoted_and_rolled_back_over_http(
    library: Library, admin: httpx.AsyncClient
) -> None:
    words = "apple banana cherry damson elder fig grape hazel iris juniper kiwi lime"
    for n, word in enumerate(words.split()):
        draft = {"slug": f"s{n}", "title": f"About {word}", "body": f"The {word} grows in the garden."}
        assert (await admin.post(f"{PATH}/articles", json=draft)).status_code == 201
    await library.work(library.idle)
    first = library.profile.retrieval.collection
    questions = [
        {
            "question": "Where does the fig grow?",
            "articles": [str(await library.pool.fetchval("SELECT id FROM articles WHERE slug = 's5'"))],
        }
    ]
    stored = await admin.put(f"{PATH}/indexes/questions", json={"items": questions})
    assert stored.status_code == 204, stored.text

    begun = await admin.post(f"{PATH}/indexes", json={"chunk_tokens": 64})
    assert begun.status_code == 202, begun.text
    name = begun.json()["name"]
    assert (await admin.post(f"{PATH}/indexes", json={"chunk_tokens": 96})).status_code == 409
    assert (await admin.post(f"{PATH}/indexes/{name}/promote")).status_code == 409
    assert (await admin.post(f"{PATH}/indexes/rollback")).status_code == 409
    await library.work(library.idle)
    built = {each["name"]: each for each in (await admin.get(f"{PATH}/indexes")).json()["items"]}
    assert built[name]["status"] == "ready"
    assert built[name]["gate"]["passed"]
    assert built[name]["gate"]["stored"] == 1

    live = library.retriever()
    assert (await live.retrieve("fig", filters=Filters())).index == first
    promoted = await admin.post(f"{PATH}/indexes/{name}/promote")
    assert promoted.json()["status"] == "live"
    await live.look()
    found = await live.retrieve("Where does the fig grow?", filters=Filters())
    assert found.index == name
    assert slugs(found.passages)[0] == "s5"
    assert (await admin.delete(f"{PATH}/indexes/{name}")).status_code == 409

    draft = {"slug": "new", "title": "About walnut", "body": "The walnut grows in the garden."}
    await admin.post(f"{PATH}/articles", json=draft)
    await library.work(library.idle)
    assert (await admin.post(f"{PATH}/indexes/rollback")).json()["name"] == first
    await live.look()
    found = await live.retrieve("Where does the walnut grow?", filters=Filters())
    assert (found.index, slugs(found.passages)[0]) == (first, "new"), "what stands by keeps up"
    await live.close()

    assert (await admin.delete(f"{PATH}/indexes/{name}")).status_code == 204
    await library.work(library.idle)
    assert len((await admin.get(f"{PATH}/indexes")).json()["items"]) == 1
