"""A sentence embedding model on onnxruntime: tokenise, run, pool. Neither torch nor transformers is imported.

The folder holds `tokenizer.json` and `model.<precision>.onnx`, whose outputs are `last_hidden_state`
(texts, tokens, dimensions) and `sentence_embedding` (texts, dimensions), pooled and of unit length.
"""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from models.embedding.fading import faded
from models.embedding.protocol import TokenVectors, Vectors
from models.embedding.signs import packed

Precision: TypeAlias = Literal["fp32", "int8"]
BATCH_TOKENS = {"fp32": 512, "int8": 1}
"""Padded tokens in one run; larger batches are slower on a CPU (155-token texts a second on one thread: fp32
25 at 512, 20 at 4,096; int8 56 one by one, 46 at 4,096). int8 runs every text alone also because a batch
shares the scale its activations are rounded by: in company a vector moves by up to 0.012 in cosine, alone it
depends on its own text only.
"""


POOLED, TOKENS = "sentence_embedding", "last_hidden_state"
"""A model's outputs."""
DEVICES = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""In this order. CUDA has no kernels for the int8 model's dynamic quantisation: a GPU wants fp32."""


class ModelNotFound(FileNotFoundError):
    """There is no prepared embedding model where one was expected; run `make setup`."""


def find(folder: Path, precision: Precision) -> tuple[Path, Path]:
    """The model's and its tokeniser's file; `ModelNotFound` names what is missing."""
    files = folder / f"model.{precision}.onnx", folder / "tokenizer.json"
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ModelNotFound(f"{', '.join(missing)} is missing; `make setup` prepares the models")
    return files


class OnnxEmbedder:
    """Not thread-safe in its tokeniser settings; run it on one thread, as `LocalEmbedder` does."""

    def __init__(
        self, folder: Path, precision: Precision = "int8", threads: int = 1, max_tokens: int = 256
    ) -> None:
        model, tokenizer = find(folder, precision)
        self.name = folder.name
        self.precision = precision
        self.max_tokens = max_tokens
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._counter = Tokenizer.from_file(str(tokenizer))
        self._counter.no_padding()
        self._counter.no_truncation()
        self._session = open_session(model, threads)
        self._inputs = {each.name for each in self._session.get_inputs()}
        outputs = {each.name: each for each in self._session.get_outputs()}
        self.dimensions = int(outputs["sentence_embedding"].shape[-1])

    @property
    def version(self) -> str:
        """What an index says its vectors are made with."""
        return f"{self.name}:{self.precision}:{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in the order of `texts`; what is longer than `max_tokens` is cut."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for batch, (rows,) in self._runs(self._tokenizer.encode_batch(list(texts)), POOLED):
            vectors[batch] = rows
        return vectors

    def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        """As `Encoder` says, from one run."""
        vectors, signs = np.empty((len(texts), self.dimensions), dtype=np.float32), [b""] * len(texts)
        encodings = self._tokenizer.encode_batch(list(texts))
        for batch, (rows, hidden) in self._runs(encodings, POOLED, TOKENS):
            vectors[batch] = rows
            for row, i in zip(hidden, batch, strict=True):
                signs[i] = packed(_inner(row, encodings[i]))
        return vectors, signs

    def encode_fading(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder` says, from one run."""
        vectors = np.empty((len(texts), 2, self.dimensions), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        for batch, (rows, hidden) in self._runs(encodings, POOLED, TOKENS):
            vectors[batch, 0] = rows
            for row, i in zip(hidden, batch, strict=True):
                vectors[i, 1] = faded(row[: len(encodings[i])])
        return vectors

    def encode_tokens(self, texts: Sequence[str], max_tokens: int | None = None) -> list[TokenVectors]:
        """Every token's own unit vector, without the special tokens at both ends."""
        encodings = self._tokenizer.encode_batch(list(texts))
        if max_tokens is not None:
            for each in encodings:
                each.truncate(max_tokens)
        vectors: list[TokenVectors] = [np.empty((0, self.dimensions), dtype=np.float32)] * len(texts)
        for batch, (hidden,) in self._runs(encodings, TOKENS):
            for row, i in zip(hidden, batch, strict=True):
                inner = _inner(row, encodings[i])
                vectors[i] = inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-9)
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without the special ones at both ends; long texts are not cut."""
        return [len(each) for each in self._counter.encode_batch(list(texts), add_special_tokens=False)]

    def _runs(
        self, encodings: Sequence[Encoding], *outputs: str
    ) -> Iterator[tuple[list[int], list[NDArray[np.float32]]]]:
        """Positions in `encodings`, a batch at a time, and the `outputs` of these texts."""
        for batch in batches([len(each) for each in encodings], BATCH_TOKENS[self.precision]):
            results = self._session.run(list(outputs), padded([encodings[i] for i in batch], self._inputs))
            yield batch, [np.asarray(each, dtype=np.float32) for each in results]


def _inner(hidden: NDArray[np.float32], encoding: Encoding) -> NDArray[np.float32]:
    """Of a padded text's rows those of its own tokens."""
    return hidden[np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)]


def padded(encodings: Sequence[Encoding], inputs: Container[str]) -> dict[str, NDArray[np.int64]]:
    """What a transformer takes for these texts, of the `inputs` it has: shape (texts, longest text)."""
    shape = len(encodings), max(len(each) for each in encodings)
    feed = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    for row, each in enumerate(encodings):
        feed["input_ids"][row, : len(each)] = each.ids
        feed["attention_mask"][row, : len(each)] = 1
        feed["token_type_ids"][row, : len(each)] = each.type_ids
    return {name: array for name, array in feed.items() if name in inputs}


def batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Positions in batches of similar length, padded to at most `limit` tokens; a longer text goes alone."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > limit:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def open_session(model: Path, threads: int) -> "onnxruntime.InferenceSession":
    """A session on the GPU where onnxruntime is its CUDA build and one is seen, else on that many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A pool that spins between runs takes the second core from everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    there = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in there:
        onnxruntime.preload_dlls()  # CUDA's libraries come from the wheels that torch was built with
    return onnxruntime.InferenceSession(str(model), options, providers=[p for p in DEVICES if p in there])
