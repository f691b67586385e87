"""Kept vectors are those of the store: never another collection's, never a chunk's of before."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from config.embedded.stores import Addresses
from models.retrieval.kept import KeptVectors, cosines, overlaps
from models.retrieval.store import ChunkVectors, Hit, SparseVector, VectorStore
from tests.integration.test_stores import ALL, DIMENSIONS, opened, record, unit

TERMS: SparseVector = {1000: 2.0, 8: 1.0}


@pytest.fixture(params=["milvus", "pgvector"])
async def store(stores: Addresses, request: pytest.FixtureRequest) -> AsyncIterator["Counted"]:
    made = Counted(opened(request.param, stores, f"test_{uuid.uuid4().hex}"))
    await made.store.ensure(DIMENSIONS)
    await made.store.upsert([record(n) for n in range(10)])
    yield made
    await made.store.drop()
    await made.store.close()


class Counted:
    """A store, and which vectors it was asked for."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self.asked: list[list[str]] = []

    async def vectors(self, chunk_ids: Sequence[str]) -> dict[str, ChunkVectors]:
        self.asked.append(sorted(chunk_ids))
        return await self.store.vectors(chunk_ids)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


async def searched(kept: KeptVectors, store: VectorStore, *, dense: int = 5, sparse: int = 5) -> list[Hit]:
    """What the dense search finds; every vector that is served has to be the one that the store has now."""
    near = await store.search_dense(unit(7), filters=ALL, limit=dense)
    matching = await store.search_sparse(TERMS, filters=ALL, limit=sparse)
    found = await kept.of(near, unit(7), matching, TERMS)
    there = await store.vectors(list(found))
    assert found.keys() == there.keys() == {hit.chunk_id for hit in (*near, *matching)}
    for chunk_id, vectors in found.items():
        assert vectors.dense == pytest.approx(there[chunk_id].dense)
        assert overlaps(TERMS, [vectors]) == pytest.approx(overlaps(TERMS, [there[chunk_id]]))
    assert cosines(unit(7), [found[hit.chunk_id] for hit in near]) == pytest.approx(
        [hit.score for hit in near], abs=1e-3
    )
    return near


async def test_the_store_is_asked_once(store: Counted) -> None:
    kept = KeptVectors(store)  # type: ignore[arg-type]
    for _ in range(3):
        await searched(kept, store.store)
    (asked,) = store.asked
    assert len(await kept.learn(["c0", "c77", *asked])) == len({"c0", *asked})
    assert store.asked[1:] == [sorted({"c0", "c77"} - set(asked))]


async def test_a_vector_that_changed_is_read_again(store: Counted) -> None:
    kept = KeptVectors(store)  # type: ignore[arg-type]
    (near, *_) = await searched(kept, store.store)
    number = int(near.chunk_id[1:])
    changed = record(number, sparse={1000: 4.0})
    changed.dense[:] = unit(7) * 0.5 + unit(8)
    changed.dense[:] /= (changed.dense @ changed.dense) ** 0.5
    await store.store.upsert([changed])
    await searched(kept, store.store)


async def test_weights_that_changed_are_read_again(store: Counted) -> None:
    kept = KeptVectors(store)  # type: ignore[arg-type]
    await searched(kept, store.store)
    await store.store.upsert([record(n, sparse={1000: 1.0 + n}) for n in range(10)])
    await searched(kept, store.store)


async def test_a_collection_that_was_made_anew_has_its_own_vectors(store: Counted) -> None:
    """Also of what only the sparse search finds, whose cosine nothing else tells."""
    kept = KeptVectors(store)  # type: ignore[arg-type]
    await searched(kept, store.store, dense=10, sparse=10)
    await store.store.drop()
    await store.store.ensure(DIMENSIONS)
    again = [record(n) for n in range(10)]
    for each in again:
        each.dense[:] = unit(100 + int(each.chunk_id[1:]))
    await store.store.upsert(again)
    await searched(kept, store.store, dense=1, sparse=10)


async def test_two_collections_share_nothing(store: Counted, stores: Addresses) -> None:
    other = opened(store.store.name, stores, f"test_{uuid.uuid4().hex}")
    await other.ensure(DIMENSIONS)
    try:
        theirs = [record(n, sparse={1000: 9.0}) for n in range(10)]
        for each in theirs:
            each.dense[:] = -each.dense
        await other.upsert(theirs)
        ours, others = KeptVectors(store.store), KeptVectors(other)
        for _ in range(2):
            await searched(ours, store.store)
            await searched(others, other)
    finally:
        await other.drop()
        await other.close()


async def test_what_was_deleted_is_left_out_and_forgotten_in_time(store: Counted) -> None:
    kept = KeptVectors(store.store, seconds=0.2)
    hits = await searched(kept, store.store)
    assert len(kept) >= 5
    async with asyncio.timeout(5):
        while len(kept):  # noqa: ASYNC110  # the sweep tells nobody
            await asyncio.sleep(0.02)
    await store.store.delete([hits[0].chunk_id])
    found = await kept.of(hits, unit(7))
    assert found.keys() == {hit.chunk_id for hit in hits[1:]}
    kept.forget()


async def test_no_more_than_so_many_are_kept(store: Counted) -> None:
    kept = KeptVectors(store.store, most=4)
    assert len(await kept.learn([f"c{n}" for n in range(10)])) == 10
    assert len(kept) == 4
    kept.forget()
