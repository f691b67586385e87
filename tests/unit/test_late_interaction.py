"""The reranker reads a passage once, and scores it as if it read it every time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from config import environment
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
