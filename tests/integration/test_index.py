"""Indexing: once, again, after an edit, after a crash, with bad input. Real stores, the real embedder."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app import db
from app.knowledge import indexing, repository
from config.embedded.stores import Addresses
from config.environment import CHECKOUT
from models.loading.documents import SourceError
from models.retrieval.bm25 import document_vector, query_terms
from models.retrieval.passages import Filters
from pipelines.index import main
from pipelines.indexing.run import TooManyChunks
from tests.integration.knowledge import ARTICLES, Knowledge, prepared, sample, slugs, write

SUPPORT_KB = CHECKOUT.parent / "shared" / "data" / "support-kb" / "articles.jsonl"


@pytest.fixture
def knowledge(pool: db.Pool, stores: Addresses) -> Knowledge:
    assert stores.milvus_uri
    return Knowledge.new(pool, stores.milvus_uri)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample(tmp_path / "kb")


async def chunks(knowledge: Knowledge) -> int:
    return int(await knowledge.pool.fetchval("SELECT count(*) FROM chunks"))


async def assert_consistent(knowledge: Knowledge) -> None:
    """Both stores name the same chunks, and the statistics are those of a recount."""
    async with knowledge.pool.acquire() as conn:
        index = knowledge.settings.index
        named = await indexing.chunk_ids(conn, index)
        assert await knowledge.store.ids() == named
        assert await indexing.count(conn, index) == len(named)
        rows = await conn.fetch("SELECT title, section, text FROM chunks")
        recount: dict[int, int] = {}
        for row in rows:
            for stem in document_vector("\n".join(filter(None, row))):
                recount[stem] = recount.get(stem, 0) + 1
        assert (await repository.statistics(conn, index, list(recount))).chunks_with == recount
        assert not await conn.fetchval("SELECT count(*) FROM index_terms WHERE chunks < 0")
        signs = await conn.fetch("SELECT chunk_id, model FROM chunk_signs WHERE index_name = $1", index)
        assert {tuple(row) for row in signs} == {(each, prepared().name) for each in named}


async def test_a_second_run_embeds_nothing(knowledge: Knowledge, folder: Path) -> None:
    first = await knowledge.index(folder)
    assert (first.documents, first.embedded) == (3, first.chunks)
    await assert_consistent(knowledge)

    second = await knowledge.index(folder, full=True)
    assert (second.documents, second.chunks, second.embedded, second.deleted) == (3, first.chunks, 0, 0)
    await assert_consistent(knowledge)


async def test_an_edit_embeds_the_changed_chunk_only(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    title, body = ARTICLES["codes"]
    write(folder, "codes", title, body + "\n| FL-400 | The proxy refuses |")

    edited = await knowledge.index(folder)

    assert (edited.embedded, edited.deleted) == (1, 1)
    await assert_consistent(knowledge)
    row = await knowledge.pool.fetchrow("SELECT version, body FROM articles WHERE slug = 'codes'")
    assert row is not None
    assert row["version"] == 2
    assert "FL-400" in row["body"]


async def test_what_vanished_goes_with_full_only(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    (folder / "refunds.md").unlink()
    assert (await knowledge.index(folder)).deleted_documents == 0

    summary = await knowledge.index(folder, full=True)

    assert summary.deleted_documents == 1
    assert summary.deleted > 0
    await assert_consistent(knowledge)
    found = await knowledge.retriever().retrieve("refund of a yearly plan", filters=Filters())
    assert "refunds" not in slugs(found.passages)


async def test_full_spares_other_sources(knowledge: Knowledge, folder: Path, tmp_path: Path) -> None:
    other = sample(tmp_path / "other")
    await knowledge.index(folder, other)
    (folder / "codes.md").unlink()
    await knowledge.index(folder, full=True)
    rows = await knowledge.pool.fetch("SELECT source, slug FROM articles WHERE slug = 'codes'")
    assert [(row["source"], row["slug"]) for row in rows] == [("other", "codes")]
    await assert_consistent(knowledge)


async def test_a_new_audience_reaches_the_vector_store(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    write(folder, "codes", *ARTICLES["codes"], visibility="agents")
    await knowledge.index(folder)
    question = "What does FL-320 mean?"
    assert "codes" not in slugs((await knowledge.retriever().retrieve(question, filters=Filters())).passages)
    agents = Filters(audiences=frozenset({"public", "agents"}))
    assert "codes" in slugs((await knowledge.retriever().retrieve(question, filters=agents)).passages)
    await assert_consistent(knowledge)


async def test_lost_vectors_are_made_again_and_stray_ones_go(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    there = sorted(await knowledge.store.ids())
    await knowledge.store.delete(there[:2])

    repaired = await knowledge.index(folder)

    assert repaired.embedded == 2
    await assert_consistent(knowledge)

    # As after a crash between the two stores: vectors are written, PostgreSQL knows nothing of them.
    await knowledge.pool.execute("DELETE FROM articles WHERE slug = 'codes'")
    assert await knowledge.store.ids() == set(there)
    (folder / "codes.md").unlink()
    await knowledge.index(folder)
    await assert_consistent(knowledge)


async def test_lost_vectors_of_other_sources_are_made_again_too(
    knowledge: Knowledge, folder: Path, tmp_path: Path
) -> None:
    other = sample(tmp_path / "other")
    await knowledge.index(folder, other)
    await knowledge.store.delete(sorted(await knowledge.store.ids()))
    (other / "codes.md").unlink()
    await knowledge.index(folder)
    await assert_consistent(knowledge)


async def test_another_way_of_cutting_builds_everything_anew(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    knowledge.settings = replace(
        knowledge.settings, chunking=replace(knowledge.settings.chunking, tokens=40, least=0)
    )
    again = await knowledge.index(folder)
    assert again.embedded == again.chunks == await chunks(knowledge)
    await assert_consistent(knowledge)
    assert (await knowledge.index(folder)).embedded == 0


async def test_bad_lines_are_skipped_and_delete_nothing(knowledge: Knowledge, tmp_path: Path) -> None:
    file = tmp_path / "articles.jsonl"
    rows = [{"slug": f"s{n}", "title": f"T{n}", "text": f"Text number {n}."} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, rows)))
    await knowledge.index(file)
    file.write_text("\n".join([json.dumps(rows[0]), json.dumps(rows[1])[:-5], json.dumps(rows[0])]))

    summary = await knowledge.index(file, full=True)

    assert summary.documents == 1
    assert {each.where for each in summary.skipped} == {f"{file}:2", "articles.jsonl: s0"}
    assert await knowledge.pool.fetchval("SELECT count(*) FROM articles") == 3, "s1 may still be there"


async def test_an_emptied_source_is_an_error_and_deletes_nothing(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    file = tmp_path / "articles.jsonl"
    file.write_text(json.dumps({"slug": "a", "title": "A", "text": "Text."}))
    await knowledge.index(file)
    file.write_text("")
    with pytest.raises(SourceError, match="no document in it"):
        await knowledge.index(file, full=True)
    assert await chunks(knowledge) == 1


async def test_one_writer_at_a_time(knowledge: Knowledge, folder: Path) -> None:
    async with knowledge.pool.acquire() as held:
        async with indexing.only_writer(held, knowledge.settings.index):
            with pytest.raises(indexing.AlreadyIndexing):
                await knowledge.index(folder)
        await knowledge.index(folder)  # `held` is still open: it is the lock that was let go


async def test_a_full_store_says_so_before_it_is_overfull(knowledge: Knowledge, folder: Path) -> None:
    with pytest.raises(TooManyChunks, match="MILVUS_URI"):
        await knowledge.index(folder, limit=2)
    assert await chunks(knowledge) <= 2
    await assert_consistent(knowledge)


async def test_article_ids_survive_a_new_database(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    first = await knowledge.pool.fetchval("SELECT id FROM articles WHERE slug = 'codes'")
    await knowledge.pool.execute("TRUNCATE articles CASCADE")
    await knowledge.index(folder)
    assert await knowledge.pool.fetchval("SELECT id FROM articles WHERE slug = 'codes'") == first


async def test_terms_that_repeat_are_found_by_statistics(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.index(folder)
    (term,) = query_terms("refund")
    async with knowledge.pool.acquire() as conn:
        known = await repository.statistics(conn, knowledge.settings.index, [term, 12345])
    assert known.chunks_with == {term: await chunks_with(knowledge, "%efund%")}


async def chunks_with(knowledge: Knowledge, pattern: str) -> int:
    return int(
        await knowledge.pool.fetchval(
            "SELECT count(*) FROM chunks WHERE title || ' ' || section || ' ' || text LIKE $1", pattern
        )
    )


def command(*arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    prepared()
    return subprocess.run(
        [sys.executable, "-m", "pipelines.index", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "ESERVICE_HOME": str(home), "ESERVICE_PROFILE": "test"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file or folder"), ("", "no file to index"), ("x", "no file to index")],
)
def test_bad_sources_end_with_one_clear_line(
    tmp_path: Path,
    content: str | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ESERVICE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "kb"
    if content is not None:
        folder.mkdir()
    if content:
        (folder / "file.exe").write_text(content)
    assert main(["--source", str(folder)]) == 1
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (tmp_path / "home").exists(), "nothing was started for it"


@pytest.mark.long
def test_the_command_on_ray(tmp_path: Path) -> None:
    """From nothing: it starts the stores and Ray, indexes, says what it did and leaves nothing running."""
    folder, figures = sample(tmp_path / "kb"), tmp_path / "figures.json"
    (folder / "bad.md").write_text("---\ntitle: [\n---\n")
    home = tmp_path / "home"
    tmp_path.chmod(0o755)

    done = command("--source", str(folder), "--full", "--json", str(figures), home=home)

    assert done.returncode == 0, done.stderr
    summary = json.loads(figures.read_text())
    assert summary["documents"] == 3
    assert summary["embedded"] == summary["chunks"] == 3
    assert summary["skipped"][0]["where"].endswith("bad.md")
    assert "bad.md" in done.stderr
    assert not list((home / "run").glob("*.pid"))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not SUPPORT_KB.exists(), reason=f"{SUPPORT_KB} is not there")
async def test_a_real_help_centre(knowledge: Knowledge, tmp_path: Path) -> None:
    first = await knowledge.index(SUPPORT_KB)
    assert first.documents == 435
    assert (await knowledge.index(SUPPORT_KB)).embedded == 0

    rows = [json.loads(line) for line in SUPPORT_KB.read_text().splitlines()]
    rows[7]["html"] += "<p>A new last sentence about nothing in particular.</p>"
    copy = tmp_path / SUPPORT_KB.name
    copy.write_text("\n".join(map(json.dumps, rows)))
    edited = await knowledge.index(copy, full=True)
    assert 1 <= edited.embedded <= 2
    await assert_consistent(knowledge)
