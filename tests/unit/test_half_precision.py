"""The models of a GPU's profile, run on this machine's CPU: the same class, slower."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config import environment
from models.embedding import opening
from models.embedding.half import TorchEmbedder
from models.embedding.onnx import ModelNotFound
from models.reranking.opening import open_reranker
from tests.integration.knowledge import prepared

TEXTS = ["Bookmarks are gone after the update.", "sync", "How do I get a refund? " * 40]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    prepared()
    return environment.read().models / "all-minilm-l6-v2"


@pytest.mark.long
def test_half_precision_says_what_onnx_says(folder: Path) -> None:
    full = opening.open_encoder(folder, "fp32")
    for precision, least in (("fp32", 0.99999), ("bf16", 0.995)):
        model = TorchEmbedder(folder, precision, device="cpu")
        vectors = model.encode(TEXTS)
        assert (vectors.dtype, vectors.shape) == (np.float32, (3, 384))
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
        assert (vectors * full.encode(TEXTS)).sum(axis=1).min() > least, precision
        fading = model.encode_fading(TEXTS)
        np.testing.assert_allclose(fading[:, 0], vectors, atol=1e-3 if precision == "fp32" else 0.05)
        assert (fading[:, 1] * full.encode_fading(TEXTS)[:, 1]).sum(axis=1).min() > least, precision
        assert opening.parse(model.version) == ("all-minilm-l6-v2", precision, 256)
    assert model.encode([]).shape == (0, 384)


def test_a_profile_that_cannot_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="huggingface-cli download"):
        opening.check(tmp_path / "bge-m3", "fp16")
    with pytest.raises(ValueError, match="int8"):
        open_reranker(tmp_path, "x", kind="late_interaction", precision="bf16", max_tokens=160)
    with pytest.raises(ModelNotFound, match="make setup"):
        open_reranker(tmp_path, "x", kind="cross_encoder", precision="int8", max_tokens=160)
    with pytest.raises(ValueError, match="names no embedder"):
        opening.parse("all-minilm-l6-v2:fp8:256")
