"""Reranks by late interaction: every word of the query looks for its best match in the document.

score(q, d) = mean over the tokens of q of max over the tokens of d of their cosine (MaxSim, Khattab &
Zaharia 2020, "ColBERT"), on the token vectors of the embedding model itself: no further weights are needed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.embedding.onnx import OnnxEmbedder, Precision, TokenVectors
from models.reranking.protocol import Scores

QUERY_TOKENS = 64
"""A question's opening says what it is about; the rest of a long ticket blurs the mean."""


class LateInteraction:
    """Run it on one thread, as `LocalReranker` does."""

    def __init__(
        self, folder: Path, *, precision: Precision = "int8", threads: int = 1, max_tokens: int = 160
    ) -> None:
        self.name = f"{folder.name}-maxsim"
        self._model = OnnxEmbedder(folder, precision, threads, max_tokens)

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        """Shape (len(documents),), each in [-1, 1]; 0 for a query without words."""
        (asked,) = self._model.encode_tokens([query], QUERY_TOKENS)
        return np.array([_maxsim(asked, each) for each in self._model.encode_tokens(documents)], np.float32)


def _maxsim(query: TokenVectors, document: TokenVectors) -> float:
    if not len(query) or not len(document):
        return 0.0
    return float((query @ document.T).max(axis=1).mean())
