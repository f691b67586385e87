"""What every vector store has to do. Another store joins by becoming a parameter of `store`."""

import uuid
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymilvus import MilvusClient

from config.embedded.stores import Addresses
from models.retrieval.filters import quoted
from models.retrieval.milvus import MilvusStore
from models.retrieval.passages import Filters
from models.retrieval.pgvector import PgVectorStore
from models.retrieval.store import Hit, Record, SparseVector, StoreUnavailable, VectorStore

DIMENSIONS = 8
ALL = Filters(audiences=frozenset({"public", "customers", "agents"}))
AWKWARD = (
    'say "hi"',
    "back\\slash",
    "it's",
    "a,b",
    "[x]",
    "line\nbreak",
    "ü€😀",
    '" or "" == "',
    "%",
    "tab\t",
)


@pytest.fixture(params=["milvus", "pgvector"])
async def store(stores: Addresses, request: pytest.FixtureRequest) -> AsyncIterator[VectorStore]:
    made = opened(request.param, stores, f"test_{uuid.uuid4().hex}")
    await made.ensure(DIMENSIONS)
    yield made
    await made.drop()
    await made.close()


def opened(kind: str, stores: Addresses, collection: str, timeout_s: float = 5.0) -> VectorStore:
    assert stores.milvus_uri
    assert stores.database_url
    if kind == "milvus":
        return MilvusStore(stores.milvus_uri, collection, timeout_s=timeout_s)
    return PgVectorStore(stores.database_url, collection, timeout_s=timeout_s)


def unit(seed: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    return vector / np.linalg.norm(vector)


def record(
    number: int,
    *,
    audiences: Sequence[str] = ("public",),
    products: Sequence[str] = (),
    topics: Sequence[str] = (),
    language: str = "en",
    sparse: SparseVector | None = None,
) -> Record:
    return Record(
        chunk_id=f"c{number}",
        article_id=f"a{number // 2}",
        audiences=tuple(audiences),
        products=tuple(products),
        topics=tuple(topics),
        language=language,
        dense=unit(number),
        sparse=sparse or {number + 1: 1.0, 1000: 0.5},
    )


def ids(hits: list[Hit]) -> set[str]:
    return {hit.chunk_id for hit in hits}


async def test_dense_search_finds_the_nearest_by_cosine(store: VectorStore) -> None:
    await store.upsert([record(n) for n in range(50)])
    for flushed in (False, True):
        hits = await store.search_dense(unit(7), filters=ALL, limit=5)
        assert (hits[0].chunk_id, hits[0].article_id) == ("c7", "a3")
        assert hits[0].score == pytest.approx(1.0, abs=1e-4)
        exact = sorted((float(unit(7) @ unit(n)) for n in range(50)), reverse=True)[:5]
        assert [hit.score for hit in hits] == pytest.approx(exact, abs=1e-4)
        if not flushed:
            await store.flush()


async def test_sparse_search_ranks_by_dot_product(store: VectorStore) -> None:
    big = 2**32 - 2
    await store.upsert([record(n, sparse={5: 1.0 + n, big: 1.0}) for n in range(3)])
    hits = await store.search_sparse({5: 2.0, big: 0.5}, filters=ALL, limit=2)
    assert [(hit.chunk_id, hit.score) for hit in hits] == [("c2", 6.5), ("c1", 4.5)]
    assert await store.search_sparse({}, filters=ALL, limit=2) == []
    assert await store.search_sparse({77: 1.0}, filters=ALL, limit=2) == []


async def test_vectors_are_read_by_id(store: VectorStore) -> None:
    await store.upsert([record(3), record(4), record(5)])
    for flushed in (False, True):
        found = await store.vectors(["c3", "c5", "c77"])
        assert found.keys() == {"c3", "c5"}
        assert found["c3"].dense == pytest.approx(unit(3), abs=1e-6)
        weights = dict(zip(found["c3"].terms.tolist(), found["c3"].weights.tolist(), strict=True))
        assert weights == pytest.approx({4: 1.0, 1000: 0.5})
        if not flushed:
            await store.flush()
    assert await store.vectors([]) == {}
    many = [record(n) for n in range(600)]
    await store.upsert(many)
    assert (await store.vectors([each.chunk_id for each in many])).keys() == {each.chunk_id for each in many}


async def test_filters_hold_in_both_searches(store: VectorStore) -> None:
    await store.upsert(
        [
            record(0),
            record(1, audiences=["customers"], products=["desktop"]),
            record(2, audiences=["agents"], products=["desktop", "web"], topics=["sync"]),
            record(3, language="de", products=["web"]),
            record(4, audiences=["supervisors", "team:a", "team:b"]),
        ]
    )
    expected = {
        Filters(): {"c0", "c3"},
        Filters(audiences=frozenset()): set(),
        Filters(audiences=frozenset({"agents"})): {"c2"},
        Filters(audiences=frozenset({"team:a"})): {"c4"},
        Filters(audiences=frozenset({"team:b", "team:a", "customers"})): {"c1", "c4"},
        Filters(languages=frozenset({"de"})): {"c3"},
        Filters(ALL.audiences, products=frozenset({"desktop"})): {"c1", "c2"},
        Filters(ALL.audiences, products=frozenset({"desktop", "web"})): {"c1", "c2", "c3"},
        Filters(ALL.audiences, topics=frozenset({"sync"}), products=frozenset({"web"})): {"c2"},
        Filters(ALL.audiences, products=frozenset({"phone"})): set(),
        Filters(ALL.audiences, articles=frozenset({"a1", "a9"})): {"c2", "c3"},
    }
    for filters, wanted in expected.items():
        assert ids(await store.search_dense(unit(1), filters=filters, limit=10)) == wanted
        assert ids(await store.search_sparse({1000: 1.0}, filters=filters, limit=10)) == wanted


async def test_no_value_breaks_out_of_a_filter(store: VectorStore) -> None:
    await store.upsert([record(n, products=[value]) for n, value in enumerate(AWKWARD)])
    for n, value in enumerate(AWKWARD):
        hits = await store.search_dense(
            unit(0), filters=Filters(products=frozenset({value})), limit=len(AWKWARD)
        )
        assert ids(hits) == {f"c{n}"}


@given(st.text())
def test_a_quoted_value_is_one_literal(value: str) -> None:
    inner = quoted(value)[1:-1]
    plain = inner.replace("\\\\", "").replace('\\"', "")
    assert '"' not in plain
    assert all(character >= " " for character in inner)


async def test_upserting_again_replaces(store: VectorStore) -> None:
    await store.upsert([record(1), record(2)])
    await store.upsert([record(1, audiences=["agents"])])
    assert await store.count() == 2
    assert ids(await store.search_dense(unit(1), filters=Filters(), limit=5)) == {"c2"}


async def test_deleting_forgets_at_once_and_ignores_strangers(store: VectorStore) -> None:
    await store.upsert([record(n) for n in range(4)])
    await store.flush()
    await store.delete(["c0", "c2", "nobody"])
    assert await store.count() == 2
    assert await store.ids() == {"c1", "c3"}
    assert ids(await store.search_dense(unit(0), filters=ALL, limit=5)) == {"c1", "c3"}
    assert ids(await store.search_sparse({1000: 1.0}, filters=ALL, limit=5)) == {"c1", "c3"}
    await store.delete([])


async def test_large_writes_and_all_ids(store: VectorStore) -> None:
    await store.upsert([record(n) for n in range(1500)])
    await store.flush()
    assert await store.count() == 1500
    assert await store.ids() == {f"c{n}" for n in range(1500)}


async def test_ensure_may_be_repeated_but_not_with_other_dimensions(store: VectorStore) -> None:
    await store.upsert([record(1)])
    await store.ensure(DIMENSIONS)
    assert await store.count() == 1
    with pytest.raises(ValueError, match="has 8 dimensions, not 9"):
        await store.ensure(9)


async def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    assert await store.count() == 0
    assert await store.ids() == set()
    assert await store.search_dense(unit(1), filters=ALL, limit=5) == []


DOWN = Addresses("postgresql://eservice:secret@127.0.0.1:9/x", None, "http://eservice:secret@127.0.0.1:9")


@pytest.mark.parametrize("kind", ["milvus", "pgvector"])
async def test_a_store_that_is_down_says_so_in_time(kind: str) -> None:
    down = opened(kind, DOWN, "passages", timeout_s=1.0)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9") as caught:
        await down.search_dense(unit(1), filters=ALL, limit=5)
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailable):
        await down.ping()


@pytest.mark.parametrize("kind", ["milvus", "pgvector"])
async def test_a_collection_that_is_not_there_is_unavailable(stores: Addresses, kind: str) -> None:
    missing = opened(kind, stores, f"missing_{uuid.uuid4().hex}")
    with pytest.raises(StoreUnavailable):
        await missing.search_sparse({1: 1.0}, filters=ALL, limit=5)
    await missing.close()


async def test_an_alias_moves_from_one_collection_to_another(store: VectorStore, stores: Addresses) -> None:
    other = opened(store.name, stores, f"test_{uuid.uuid4().hex}")
    await other.ensure(DIMENSIONS + 1)
    alias = f"alias_{uuid.uuid4().hex}"
    for each in (store, other, store):
        await each.publish(alias)
    await other.drop()
    await other.close()


async def test_filters_leave_enough_of_the_nearest(store: VectorStore) -> None:
    """The nearest hundreds are somebody else's: a graph search must not stop among them."""
    own = range(0, 1200, 100)
    await store.upsert([record(n, audiences=["agents"] if n in own else ["public"]) for n in range(1200)])
    await store.flush()
    hits = await store.search_dense(unit(1), filters=Filters(audiences=frozenset({"agents"})), limit=len(own))
    assert ids(hits) == {f"c{n}" for n in own}


async def test_a_milvus_collection_of_an_older_shape_is_made_anew(stores: Addresses) -> None:
    assert stores.milvus_uri
    name = f"test_{uuid.uuid4().hex}"
    client = MilvusClient(uri=stores.milvus_uri)
    client.create_collection(
        name, dimension=DIMENSIONS, vector_field_name="dense", id_type="string", max_length=64
    )
    client.close()
    store = MilvusStore(stores.milvus_uri, name)
    await store.ensure(DIMENSIONS)
    await store.upsert([record(1)])
    assert await store.count() == 1
    await store.drop()
    await store.close()
