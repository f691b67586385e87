"""A cross-encoder on onnxruntime: reads query and document together, one score a pair.

The folder holds `tokenizer.json` and `model.<precision>.onnx` with one output, `logits` (pairs, 1).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.embedding.onnx import Precision, batches, open_session, padded
from models.reranking.protocol import Scores

BATCH_TOKENS = 1024


class CrossEncoder:
    """Run it on one thread, as `LocalReranker` does."""

    def __init__(
        self, folder: Path, *, precision: Precision = "int8", threads: int = 1, max_tokens: int = 160
    ) -> None:
        self.name = folder.name
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        self._session = open_session(folder / f"model.{precision}.onnx", threads)
        self._inputs = {each.name for each in self._session.get_inputs()}

    def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        """Shape (len(documents),): the model's logits. It reads texts, whatever `signs` there are."""
        pairs = self._tokenizer.encode_batch([(query, document) for document in documents])
        scores = np.empty(len(pairs), dtype=np.float32)
        for batch in batches([len(pair) for pair in pairs], BATCH_TOKENS):
            feed = padded([pairs[i] for i in batch], self._inputs)
            scores[batch] = np.asarray(self._session.run(["logits"], feed)[0]).reshape(-1)
        return scores
