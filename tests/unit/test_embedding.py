"""The ONNX embedder and reranker need neither torch nor transformers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import environment
from models.embedding.fading import HALF_LIFE, faded
from models.embedding.onnx import ModelNotFound, OnnxEmbedder, batches

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["models.embedding.local", "models.reranking.late_interaction"])
def test_no_torch_is_imported(module: str) -> None:
    code = f"import {module}, sys; print(*{{'torch', 'transformers'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_text_once_and_stay_within_the_limit(lengths: list[int], limit: int) -> None:
    found = list(batches(lengths, limit))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= limit for batch in found)


def test_what_a_text_begins_with_counts_most_in_the_mean_that_fades() -> None:
    sync, bill = ["Sync has stopped working. " * 8, "My invoice is wrong. " * 8]
    model = OnnxEmbedder(environment.read().models / "all-minilm-l6-v2")
    (plain, fading), (only_sync, _) = model.encode_fading([f"{sync}{bill}", sync])
    np.testing.assert_array_equal(plain, model.encode([f"{sync}{bill}"])[0])
    assert np.linalg.norm(fading) == pytest.approx(1, abs=1e-6)
    assert fading @ only_sync > plain @ only_sync + 0.01


@given(st.integers(1, 200))
def test_a_mean_of_one_thing_is_that_thing(tokens: int) -> None:
    assert faded(np.tile(np.array([3, 4], np.float32), (tokens, 1))) == pytest.approx([0.6, 0.8], abs=1e-5)
    late = np.zeros((2 * HALF_LIFE + 1, 2), np.float32)
    late[0, 0], late[HALF_LIFE, 1] = 1, 1
    assert faded(late) == pytest.approx(np.array([2, 1]) / np.sqrt(5), abs=1e-5)


def test_a_model_that_is_not_prepared_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="make setup"):
        OnnxEmbedder(tmp_path / "nothing")
