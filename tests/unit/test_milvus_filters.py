"""What a segment says of a condition is kept, and is what Milvus Lite itself would say."""

import gc
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from milvus_lite.schema.types import CollectionSchema, DataType, FieldSchema
from milvus_lite.search.filter import compile_filter, evaluate_mask

from config.embedded import milvus_filters
from config.embedded.milvus_filters import Masks
from models.retrieval.filters import expression
from models.retrieval.passages import Filters

SCHEMA = CollectionSchema(
    fields=[
        FieldSchema("chunk_id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("article_id", DataType.VARCHAR, max_length=64),
        FieldSchema("language", DataType.VARCHAR, max_length=32),
        FieldSchema(
            "audiences", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=8, max_length=64
        ),
        FieldSchema("products", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=8, max_length=64),
    ]
)


@dataclass
class Segment:
    table: pa.Table


@pytest.fixture
def segment() -> Segment:
    rng = random.Random(0)

    def some(*words: str) -> list[list[str]]:
        return [rng.sample(words, rng.randrange(3)) for _ in range(200)]

    return Segment(
        pa.table(
            {
                "chunk_id": [f"c{i}" for i in range(200)],
                "article_id": [f"a{i % 9}" for i in range(200)],
                "language": rng.choices(["en", "de", ""], k=200),
                "audiences": pa.array(some("public", "agents", 'team "1"'), type=pa.list_(pa.string())),
                "products": pa.array(some("firefox", "thunderbird"), type=pa.list_(pa.string())),
            }
        )
    )


WANTED = [
    Filters(audiences=frozenset()),
    Filters(audiences=frozenset({"public"})),
    Filters(audiences=frozenset({"public", 'team "1"'}), languages=frozenset({"de", "en"})),
    Filters(
        audiences=frozenset({"agents"}), products=frozenset({"firefox"}), articles=frozenset({"a1", "a8"})
    ),
]
OTHERS = [
    'language == "en" or array_contains(audiences, "agents")',
    'not (article_id in ["a1"])',
    'chunk_id like "c1%"',
]


@pytest.mark.parametrize("source", [*map(expression, WANTED), *OTHERS])
def test_it_is_what_milvus_lite_says(segment: Segment, source: str) -> None:
    condition, masks = compile_filter(source, SCHEMA), Masks()
    for _ in range(2):
        np.testing.assert_array_equal(
            masks.evaluate(segment, condition, None), evaluate_mask(condition, segment.table)
        )


def test_a_condition_on_an_array_is_looked_at_once(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[Any] = []
    monkeypatch.setattr(
        milvus_filters,
        "evaluate_mask",
        lambda part, table: (evaluated.append(table.schema.names), evaluate_mask(part, table))[1],
    )
    masks = Masks()
    for article in ("a1", "a2", "a3"):
        wanted = Filters(audiences=frozenset({"public"}), articles=frozenset({article}))
        assert masks.evaluate(segment, compile_filter(expression(wanted), SCHEMA), None).sum() > 0
    assert evaluated == [["article_id", "audiences"]] * 4, "of both once, then of the article alone"


def test_it_goes_with_its_segment(segment: Segment) -> None:
    masks = Masks()
    masks.evaluate(segment, compile_filter(expression(WANTED[1]), SCHEMA), None)
    assert len(masks._kept) == 1
    segment.table = None
    gc.collect()
    assert not masks._kept
