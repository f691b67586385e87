"""The quicker searches of Milvus Lite find what its own do, whatever was written, deleted and flushed."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from milvus_lite.db import MilvusLite
from milvus_lite.engine import collection as engine
from milvus_lite.index import sparse_factory
from milvus_lite.index.sparse_ip import SparseIpIndex
from milvus_lite.schema.types import CollectionSchema, DataType, FieldSchema

from config.embedded import milvus_search
from config.embedded.milvus_postings import Postings
from config.embedded.milvus_search import Searches

SCHEMA = CollectionSchema(
    fields=[
        FieldSchema("chunk_id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("article_id", DataType.VARCHAR, max_length=64),
        FieldSchema("dense", DataType.FLOAT_VECTOR, dim=8),
        FieldSchema("sparse", DataType.SPARSE_FLOAT_VECTOR),
    ]
)
FIELDS: list[list[str] | None] = [["article_id"], [], ["dense", "sparse", "article_id"], ["*"], None]


class Both:
    """Milvus Lite's own searches and the quicker ones, of the same collection."""

    def __init__(self, collection: Any, patch: pytest.MonkeyPatch) -> None:
        self.collection = collection
        self._patch = patch
        self._searches = Searches()

    def same(self, rng: random.Random, expr: str | None, fields: list[str] | None) -> int:
        """How many hits both have, once for each kind of search."""
        vectors = [[rng.gauss(0, 1) for _ in range(8)] for _ in range(2)]
        terms = [sparse(rng) for _ in range(2)]
        hits = 0
        for field, queries in (("dense", vectors), ("sparse", terms)):
            how = {"query_vectors": queries, "top_k": 12, "expr": expr, "output_fields": fields}
            theirs = self.collection.search(anns_field=field, **how)
            with self._patch.context() as patch:
                patch.setattr(engine, "execute_search_with_index", self._searches.dense)
                patch.setattr(
                    engine.Collection, "_search_sparse", lambda it, **how: self._searches.sparse(it, **how)
                )
                patch.setattr(sparse_factory, "SparseIpIndex", Postings)
                ours = self.collection.search(anns_field=field, **how)
            assert [len(each) for each in ours] == [len(each) for each in theirs]
            for mine, their in zip(ours, theirs, strict=True):
                assert [hit["distance"] for hit in mine] == pytest.approx(
                    [hit["distance"] for hit in their], abs=1e-6
                )
                assert {hit["id"]: hit["entity"] for hit in mine} == {
                    hit["id"]: hit["entity"] for hit in their
                }
                hits += len(mine)
        return hits


def sparse(rng: random.Random) -> dict[int, float]:
    return {term: rng.random() + 0.01 for term in rng.sample(range(40), 12)}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    db = MilvusLite(str(tmp_path / "data"))
    yield Both(created(db, "BRUTE_FORCE"), monkeypatch)
    db.close()


def created(db: MilvusLite, index: str) -> Any:
    collection = db.create_collection("some", SCHEMA)
    collection.create_index(
        "dense", {"index_type": index, "metric_type": "COSINE", "params": {}, "search_params": {}}
    )
    collection.load()
    return collection


@pytest.mark.parametrize("seed", range(6))
def test_they_find_the_same(both: Both, seed: int) -> None:
    rng, hits = random.Random(seed), 0
    for _ in range(12):
        rows = [
            {
                "chunk_id": f"c{number}",
                "article_id": f"a{rng.randrange(5)}",
                "dense": [rng.gauss(0, 1) for _ in range(8)],
                "sparse": sparse(rng),
            }
            for number in rng.sample(range(80), 15)
        ]
        both.collection.upsert(rows)
        both.collection.delete([f"c{number}" for number in rng.sample(range(80), 4)])
        if rng.random() < 0.6:
            both.collection.flush()
        for expr in (None, 'article_id in ["a1", "a3"]', 'article_id == "nowhere"'):
            hits += both.same(rng, expr, rng.choice(FIELDS))
        both.collection.flush()
        both.same(rng, None, ["article_id"])
        both.collection.delete([f"c{number}" for number in rng.sample(range(80), 4)])
        both.collection.flush()  # the segments stay the same
        both.same(rng, None, ["article_id"])
    assert hits > 500


@pytest.mark.parametrize(("expr", "through"), [('article_id == "a7"', {7}), ('article_id < "a3"', {0, 1, 2})])
def test_the_nearest_of_what_a_filter_lets_through_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expr: str, through: set[int]
) -> None:
    db, rng = MilvusLite(str(tmp_path / "data")), np.random.default_rng(0)
    collection, vectors = created(db, "HNSW"), rng.normal(size=(1500, 8))
    article = rng.integers(10, size=len(vectors))
    vectors += 3 * np.eye(10, 8)[article]  # those of an article lie together, as its passages do
    collection.insert(
        [
            {"chunk_id": f"c{i}", "article_id": f"a{article[i]}", "dense": each.tolist(), "sparse": {1: 1.0}}
            for i, each in enumerate(vectors)
        ]
    )
    collection.flush()
    collection.release()
    collection.load()  # which builds the segment's graph
    assert all(segment.indexes for segment in collection._read_snapshot()[0])
    monkeypatch.setattr(engine, "execute_search_with_index", Searches().dense)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.flatnonzero(np.isin(article, list(through)))
    missed = 0
    for query in unit[article == 5][:30]:
        (hits,) = collection.search(
            anns_field="dense",
            query_vectors=[query.tolist()],
            top_k=12,
            expr=expr,
            output_fields=[],
            search_params={"ef": 64},
        )
        nearest = rows[np.argsort(-(unit[rows] @ query))[:12]]
        missed += len({f"c{i}" for i in nearest} - {hit["id"] for hit in hits})
    db.close()
    assert missed <= 30 * 12 * 0.01


def test_what_is_kept_of_rows_is_bounded(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_search, "MOST", 3)
    rng = random.Random(0)
    for number in range(8):
        row = {"chunk_id": f"c{number}", "article_id": "a", "dense": [1.0] * 8, "sparse": sparse(rng)}
        both.collection.upsert([row])
        both.collection.flush()
        both.same(rng, None, ["article_id"])
        assert len(both._searches._kept) <= 3


def test_postings_give_the_same_scores() -> None:
    rng = random.Random(1)
    rows = [sparse(rng) for _ in range(200)]
    queries = [sparse(rng) for _ in range(20)] + [{}, {99: 1.0}]
    mask = np.array([rng.random() < 0.7 for _ in rows])
    mine, theirs = Postings(), SparseIpIndex()
    for each in (mine, theirs):
        each.build(rows)
    for valid, most in ((None, 10), (mask, 10), (mask, 300), (np.zeros(200, bool), 5), (None, 0)):
        ids, distances = mine.search(queries, most, valid_mask=valid)
        wanted, expected = theirs.search(queries, most, valid_mask=valid)
        np.testing.assert_array_equal(distances, expected)
        np.testing.assert_array_equal(np.sort(ids), np.sort(wanted))
