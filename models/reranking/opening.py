"""Opens the reranking model that a profile names."""

from pathlib import Path
from typing import Literal, cast

from models.embedding import onnx
from models.embedding.half import HALVES, HalfPrecision
from models.embedding.opening import Precision
from models.reranking.cross_encoder import CrossEncoder
from models.reranking.half import TorchCrossEncoder
from models.reranking.late_interaction import LateInteraction
from models.reranking.local import Model

Kind = Literal["late_interaction", "cross_encoder"]


def open_reranker(
    models: Path, model: str, *, kind: Kind, precision: Precision = "int8", threads: int = 1, max_tokens: int
) -> Model:
    """`model` is a folder below `models`; in half precision also a hub's id, which is downloaded.

    Raises `ModelNotFound` where it is not there, `ValueError` where it cannot run like this.
    """
    folder = models / model
    if precision in HALVES:
        if kind != "cross_encoder":
            raise ValueError(f"{model}: late interaction runs on ONNX: set reranker.precision to int8")
        name = folder if folder.is_dir() else model
        return TorchCrossEncoder(name, cast(HalfPrecision, precision), max_tokens=max_tokens)
    full = cast(onnx.Precision, precision)
    onnx.find(folder, full)
    if kind == "cross_encoder":
        return CrossEncoder(folder, precision=full, threads=threads, max_tokens=max_tokens)
    return LateInteraction(folder, precision=full, threads=threads, max_tokens=max_tokens)
