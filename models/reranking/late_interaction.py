"""Reranks by late interaction: every word of the query looks for its best match in the document.

score(q, d) = mean over the tokens of q of max over the tokens of d of their cosine (MaxSim, Khattab &
Zaharia 2020, "ColBERT"), on the token vectors of the embedding model itself: no further weights are needed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.embedding.onnx import OnnxEmbedder, Precision, TokenVectors
from models.reranking.protocol import Scores

QUERY_TOKENS = 64
"""A question's opening says what it is about; the rest of a long ticket blurs the mean."""

KEPT = 512
"""Passages whose tokens' vectors are kept, 63 MB in half precision: to read twelve of them is nearly all of
the reranker's work, and the same ones are near to many questions."""


class LateInteraction:
    """Run it on one thread, as `LocalReranker` does."""

    def __init__(
        self, folder: Path, *, precision: Precision = "int8", threads: int = 1, max_tokens: int = 160
    ) -> None:
        self.name = f"{folder.name}-maxsim"
        self._model = OnnxEmbedder(folder, precision, threads, max_tokens)
        self._kept: dict[str, NDArray[np.float16]] = {}  # the least recently used first

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        """Shape (len(documents),), each in [-1, 1]; 0 for a query without words."""
        (asked,) = self._model.encode_tokens([query], QUERY_TOKENS)
        return np.array([_maxsim(asked, each) for each in self._read(documents)], np.float32)

    def _read(self, documents: Sequence[str]) -> list[TokenVectors]:
        """Each document's tokens; the model reads those that were not asked for lately."""
        there = {each: self._kept.pop(each) for each in dict.fromkeys(documents) if each in self._kept}
        new = [each for each in dict.fromkeys(documents) if each not in there]
        there |= {
            document: vectors.astype(np.float16)
            for document, vectors in zip(new, self._model.encode_tokens(new), strict=True)
        }
        self._kept |= there
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return [there[each].astype(np.float32) for each in documents]


def _maxsim(query: TokenVectors, document: TokenVectors) -> float:
    if not len(query) or not len(document):
        return 0.0
    return float((query @ document.T).max(axis=1).mean())
