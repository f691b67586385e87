"""A cross-encoder on torch in half precision, through sentence-transformers: what a GPU runs.

torch is imported when a model is opened, so that processes that run ONNX never load it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.embedding.half import BATCH_TOKENS, DTYPES
from models.embedding.onnx import batches
from models.reranking.protocol import Scores


class TorchCrossEncoder:
    """`model` is a folder, or the id of a published one, which is downloaded (`BAAI/bge-reranker-v2-m3`).

    Run it on one thread, as `LocalReranker` does. `device` is torch's; by default a GPU where one is seen.
    """

    def __init__(
        self,
        model: Path | str,
        precision: Literal["fp32", "fp16", "bf16"] = "fp16",
        *,
        max_tokens: int = 512,
        device: str | None = None,
    ) -> None:
        import torch
        from sentence_transformers import CrossEncoder

        self.name = Path(model).name
        self._max_tokens = max_tokens
        self._model: Any = CrossEncoder(
            str(model),
            device=device,
            num_labels=1,
            max_length=max_tokens,
            local_files_only=isinstance(model, Path),
            model_kwargs={"dtype": getattr(torch, DTYPES[precision])},
            activation_fn=torch.nn.Identity(),
        )
        self.device: str = self._model.device.type

    def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        """Shape (len(documents),): the model's logits. It reads texts, whatever `signs` there are."""
        scores = np.empty(len(documents), dtype=np.float32)
        for batch in batches(
            self._lengths(query, documents), BATCH_TOKENS.get(self.device, BATCH_TOKENS["cpu"])
        ):
            pairs = [(query, documents[i]) for i in batch]
            logits = self._model.predict(
                pairs, batch_size=len(pairs), convert_to_tensor=True, show_progress_bar=False
            )
            scores[batch] = logits.float().cpu().numpy().reshape(-1)
        return scores

    def _lengths(self, query: str, documents: Sequence[str]) -> list[int]:
        if not documents:
            return []
        read = self._model.tokenizer(
            [query] * len(documents), list(documents), truncation=True, max_length=self._max_tokens
        )
        return [len(each) for each in read["input_ids"]]
