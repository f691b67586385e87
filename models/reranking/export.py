"""A trained cross-encoder as the service runs it: ONNX in 8 bits, and its tokeniser."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

from models.preparation.onnx import OPSET, copy_tokenizer, quantise

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export(encoder: Any, folder: Path) -> None:
    """Write `model.int8.onnx` and `tokenizer.json` of a `sentence_transformers.CrossEncoder` to `folder`."""
    import torch

    class Scorer(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
        def __init__(self) -> None:
            super().__init__()
            self.network = encoder.model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.network(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).logits

    ids = torch.randint(1000, 2000, (2, 16))
    axes = {0: "pairs", 1: "tokens"}
    encoder.model.cpu().eval()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as draft, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the older exporter's deprecation, as in models.preparation.onnx
        full = Path(draft) / "model.fp32.onnx"
        torch.onnx.export(
            Scorer(),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(full),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes=dict.fromkeys(INPUTS, axes) | {"logits": {0: "pairs"}},
        )
        quantise(full, folder / "model.int8.onnx")
        encoder.tokenizer.save_pretrained(draft)
        copy_tokenizer(Path(draft) / "tokenizer.json", folder / "tokenizer.json")
