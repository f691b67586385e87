"""The ONNX embedder and reranker need neither torch nor transformers."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_model_that_is_not_prepared_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="make setup"):
        OnnxEmbedder(tmp_path / "nothing")
