"""The reranker reads a passage once, and scores it as if it read it every time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from config import environment
from models.embedding.onnx import OnnxEmbedder
from models.embedding.signs import packed, unpacked
from models.reranking import late_interaction
from models.reranking.late_interaction import LateInteraction

FOLDER = environment.read().models / "all-minilm-l6-v2"
PASSAGES = [f"How to reset the {what} of an account." for what in ("password", "address", "photo", "name")]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the model reads, in order."""
    texts: list[str] = []
    encode = late_interaction.OnnxEmbedder.encode_tokens

    def encode_tokens(self: Any, some: Sequence[str], most: int | None = None) -> Any:
        texts.extend(some)
        return encode(self, some, most)

    monkeypatch.setattr(late_interaction.OnnxEmbedder, "encode_tokens", encode_tokens)
    return texts


def test_a_passage_is_read_once(read: list[str]) -> None:
    model = LateInteraction(FOLDER)
    first = model.score("forgot my password", PASSAGES[:3])
    again = model.score("forgot my password", [PASSAGES[3], *PASSAGES[2::-1], PASSAGES[0]])
    assert [text for text in read if text in PASSAGES] == PASSAGES
    np.testing.assert_array_equal(again[1:4], first[::-1])
    assert again[4] == first[0]
    fresh = LateInteraction(FOLDER).score("forgot my password", PASSAGES[3:])
    np.testing.assert_array_equal(again[:1], fresh)


def test_what_an_index_keeps_of_a_passage_is_not_read_again(read: list[str]) -> None:
    _, signs = OnnxEmbedder(FOLDER).read([*PASSAGES[:3], ""])
    model = LateInteraction(FOLDER)
    known = model.score("forgot my password", [*PASSAGES, ""], [*signs[:3], b"", signs[3]])
    assert [text for text in read if text in PASSAGES] == PASSAGES[3:]
    plain = LateInteraction(FOLDER).score("forgot my password", [*PASSAGES, ""])
    np.testing.assert_allclose(known, plain, atol=1e-6)
    assert plain[4] == 0
    assert plain[0] == max(plain)


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2).map(lambda shape: (shape[0], 8 * shape[1])),
        elements=st.floats(-1, 1, width=32),
    )
)
def test_signs_survive_packing(vectors: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(unpacked(packed(vectors), vectors.shape[1]), vectors > 0)


def test_many_documents_score_as_each_alone() -> None:
    model = LateInteraction(FOLDER)
    together = model.score("forgot my password", [*PASSAGES, "", "x"])
    alone = [model.score("forgot my password", [each])[0] for each in [*PASSAGES, "", "x"]]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_least_recently_used_is_forgotten(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_interaction, "KEPT", 3)
    model = LateInteraction(FOLDER)
    model.score("x", PASSAGES[:3])
    model.score("x", PASSAGES[:1])
    model.score("x", PASSAGES[3:])
    read.clear()
    model.score("x", [PASSAGES[0], PASSAGES[2], PASSAGES[3], PASSAGES[1]])
    assert read == ["x", PASSAGES[1]]
    assert len(model._kept) == 3
