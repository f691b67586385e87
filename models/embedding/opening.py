"""Opens the embedding model that a profile or an index names, on the runtime its precision asks for."""

from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from models.embedding import onnx
from models.embedding.half import HALVES, HalfPrecision, TorchEmbedder, weights
from models.embedding.onnx import ModelNotFound, OnnxEmbedder
from models.embedding.protocol import Encoder

Precision: TypeAlias = Literal["fp32", "int8", "fp16", "bf16"]
"""`fp32` and `int8` run on onnxruntime, `fp16` and `bf16` on torch, which a GPU is for."""


def open_encoder(folder: Path, precision: Precision, *, threads: int = 1, max_tokens: int = 256) -> Encoder:
    """The model in `folder`; `ModelNotFound` says what is missing."""
    if precision in HALVES:
        return TorchEmbedder(folder, cast(HalfPrecision, precision), max_tokens, threads=threads)
    return OnnxEmbedder(folder, cast(onnx.Precision, precision), threads, max_tokens)


def check(folder: Path, precision: Precision) -> None:
    """Raise `ModelNotFound` where the model, or the tokeniser that chunks are sized by, is not there."""
    if precision not in HALVES:
        onnx.find(folder, cast(onnx.Precision, precision))
        return
    weights(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ModelNotFound(f"{folder}/tokenizer.json is missing; `make setup` prepares the models")


def parse(version: str) -> tuple[str, Precision, int]:
    """Name, precision and most tokens, by what an index says its vectors are made with."""
    name, _, rest = version.partition(":")
    precision, _, tokens = rest.partition(":")
    if precision not in get_args(Precision) or not tokens.isdigit():
        raise ValueError(f"{version!r} names no embedder that can be run here")
    return name, cast(Precision, precision), int(tokens)
