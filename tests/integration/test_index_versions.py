"""Versions of an index: built beside the one that answers, judged, swapped under load, resumed."""

import asyncio
import itertools
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app import db
from app.cases import service as cases
from app.cases.schemas import Imported
from app.knowledge import promotion, versions
from app.knowledge.planning import Result, Stored
from app.knowledge.schemas import Index
from config.embedded.stores import Addresses
from config.environment import CHECKOUT
from models.loading.sources import Source
from models.retrieval.passages import Filters
from pipelines.indexing import gate
from pipelines.indexing.compute import Item, in_process
from pipelines.indexing.run import Run, Settings, Unfinished
from pipelines.indexing.summary import Summary
from tests.integration.library import Library

EXAMPLES = CHECKOUT / "examples" / "knowledge"
QUESTIONS = CHECKOUT / "examples" / "questions.jsonl"
QUERIES_PER_S = 20


async def store_questions(library: Library) -> None:
    """The sample's own, of those articles that are there."""
    ids = {row["slug"]: row["id"] for row in await library.pool.fetch("SELECT slug, id FROM articles")}
    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    asked = [(row["question"], [ids[each] for each in row["articles"] if each in ids]) for row in rows]
    async with library.pool.acquire() as conn:
        await versions.add_questions(conn, [(question, articles) for question, articles in asked if articles])


async def solve_a_case(library: Library) -> None:
    article = await library.pool.fetchval("SELECT id FROM articles WHERE visibility = 'public' LIMIT 1")
    async with db.transaction(library.pool) as conn:
        await cases.add_imported(conn, [Imported("1", "My notes are in conflict", (article,))])


@pytest.fixture(params=["milvus", pytest.param("pgvector", marks=pytest.mark.long)])
async def library(
    pool: db.Pool, database_url: str, stores: Addresses, tmp_path: Path, request: pytest.FixtureRequest
) -> Library:
    """A dozen articles of the sample, indexed as the profile says."""
    name = f"t{uuid.uuid4().hex[:12]}"
    made = Library.at(pool, database_url, stores, collection=name, store=request.param)
    folder = tmp_path / "kb"
    folder.mkdir()
    for file in sorted(EXAMPLES.glob("*.md"))[:12]:
        shutil.copy(file, folder)
    settings = Settings.of(made.profile, made.environment)
    compute = in_process(settings.embedder, settings.chunking)
    await Run(pool, made.store(name), settings, compute, Summary()).index([Source("kb", folder)])
    return made


async def begin(library: Library, **changes: str) -> Index:
    description = Settings.of(library.profile, library.environment).description | changes
    async with db.transaction(library.pool) as conn:
        return await promotion.begin(conn, library.profile.retrieval.collection, **description)


async def chunk_ids(library: Library, index: str) -> set[str]:
    rows = await library.pool.fetch("SELECT id FROM chunks WHERE index_name = $1", index)
    return {row["id"] for row in rows}


async def test_no_answer_fails_or_mixes_versions_during_promotion_and_roll_back(library: Library) -> None:
    index = await begin(library, chunker="structure-1:48:0:0:terms-1")
    await library.build(index.name)
    first = library.profile.retrieval.collection
    named = {name: await chunk_ids(library, name) for name in (first, index.name)}
    assert named[first] - named[index.name]
    retriever = library.retriever()
    answered: list[tuple[float, str]] = []
    clock = asyncio.get_running_loop().time

    async def ask(n: int) -> None:
        question = ("How do I resolve a sync conflict?", "change my plan", "delete account", "API limits")[
            n % 4
        ]
        found = await retriever.retrieve(question, filters=Filters(), top_k=10)
        assert found.degraded == ()
        assert found.passages
        assert {each.chunk_id for each in found.passages} <= named[found.index]
        answered.append((clock(), found.index))

    async def steady(seconds: float) -> None:
        asked = []
        for n in range(int(seconds * QUERIES_PER_S)):
            asked.append(asyncio.create_task(ask(n)))
            await asyncio.sleep(1 / QUERIES_PER_S)
        await asyncio.gather(*asked)

    swaps: dict[str, float] = {}

    async def swap() -> None:
        await asyncio.sleep(1.5)
        async with db.transaction(library.pool) as conn:
            await promotion.promote(conn, index.name)
        swaps[index.name] = clock()
        await asyncio.sleep(2)
        async with db.transaction(library.pool) as conn:
            assert (await promotion.roll_back(conn)).name == first
        swaps[first] = clock()

    await asyncio.gather(steady(5.5), swap())
    await retriever.close()
    assert len(answered) == int(5.5 * QUERIES_PER_S)
    runs = [name for name, _ in itertools.groupby(name for _, name in sorted(answered))]
    assert set(runs) == {first, index.name}
    for name, at in swaps.items():
        later = [when for when, which in answered if which == name and when > at]
        assert min(later) - at < 2.0, "taken up within a second, and some for a busy machine"


async def test_the_gate_lets_a_better_embedder_through_and_stops_a_bad_one(
    library: Library, tmp_path: Path
) -> None:
    await store_questions(library)
    await solve_a_case(library)
    fine = await begin(library, embedder="all-minilm-l6-v2:fp32:256")
    await library.build(fine.name)
    good = await library.index(fine.name)
    assert (good.status, good.gate and good.gate["passed"]) == ("ready", True)
    assert good.gate
    assert good.gate["solved"] == 1, "what a customer asked and what solved it are asked too"

    models = scrambled(library.environment.models, tmp_path / "models")
    library.environment = library.environment.model_copy(update={"models": models})
    bad = await begin(library, embedder="scrambled:int8:256")
    await library.build(bad.name)
    refused = await library.index(bad.name)
    assert refused.status == "refused"
    assert refused.gate
    assert refused.gate["dense_low"] < -gate.DENSE_MARGIN
    async with db.transaction(library.pool) as conn:
        with pytest.raises(promotion.IndexNotReady, match="refused"):
            await promotion.promote(conn, bad.name)
        assert (await versions.live(conn)) != bad.name
        assert (await promotion.promote(conn, bad.name, force=True)).active, "an admin may insist"


def scrambled(models: Path, folder: Path) -> Path:
    """The same network behind a tokeniser that takes each word for another one."""
    folder.mkdir()
    for model in models.iterdir():
        if model.is_dir() and not model.name.startswith("."):
            (folder / model.name).symlink_to(model)
    bad = folder / "scrambled"
    bad.mkdir()
    source = models / "all-minilm-l6-v2"
    (bad / "model.int8.onnx").symlink_to(source / "model.int8.onnx")
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    words = [word for word, number in vocabulary.items() if number > 999]
    numbers = [vocabulary[word] for word in words]
    tokenizer["model"]["vocab"] |= dict(zip(words, numbers[7919:] + numbers[:7919], strict=True))
    (bad / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


async def test_a_build_that_was_stopped_goes_on_where_it_was(library: Library) -> None:
    index = await begin(library, chunker="structure-1:48:0:0:terms-1")
    settings = Settings.of_index(index, library.profile, library.environment)
    inner = in_process(settings.embedder, settings.chunking)

    def dies_half_way(items: Sequence[Item], stored: Stored) -> Iterator[list[Result]]:
        for n, results in enumerate(inner(items, stored)):
            if n == 6:
                raise ConnectionError("killed")
            yield results

    with pytest.raises(ConnectionError):
        await library.run(index, compute=dies_half_way).catch_up()
    written = await chunk_ids(library, index.name)
    assert written
    with pytest.raises(Unfinished):
        await library.run(index, until=0.0).catch_up()

    after = library.run(index)
    await after.catch_up()

    whole = await chunk_ids(library, index.name)
    assert after.summary.embedded < len(whole) - len(written), "what was written is not embedded again"
    assert await library.store(index.name).ids() == whole
    again = library.run(index)
    await again.catch_up()
    assert again.summary.embedded == 0
    other = await begin_anew(library, index)
    assert await chunk_ids(library, other) == whole, "the same as without the interruption"


async def begin_anew(library: Library, index: Index) -> str:
    async with db.transaction(library.pool) as conn:
        await versions.judge(conn, index.name, passed=True, gate={})
    other = await begin(library, chunker=index.chunker)
    await library.run(other).catch_up()
    return other.name


async def test_a_verdict_needs_questions_and_counts_each_pair() -> None:
    good, bad = (1.0, 1.0), (0.0, 0.0)
    assert not gate.verdict([good] * 9, [good] * 9, stored=9).passed
    assert gate.verdict([good] * 50, [good] * 50, stored=50).passed
    assert not gate.verdict([good] * 50, [bad] * 25 + [good] * 25, stored=50).passed
    assert not gate.verdict([good] * 50, [(1.0, 0.5)] * 50, stored=50).passed, "keywords hide it"
    noisy = gate.verdict([bad, good] * 100, [good, bad] * 100, stored=200)
    assert noisy.low < -0.02 < noisy.high
    assert not noisy.passed
