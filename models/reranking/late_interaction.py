"""Reranks by late interaction: every word of the query looks for its best match in the document.

score(q, d) = mean over the tokens of q of max over the tokens of d of their cosine (MaxSim, Khattab &
Zaharia 2020, "ColBERT"), on the token vectors of the embedding model itself: no further weights are needed.
"""

from collections.abc import Sequence
from hashlib import blake2b
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
        self._kept: dict[bytes, NDArray[np.float16]] = {}  # by digest, the least recently used first

    def score(self, query: str, documents: Sequence[str]) -> Scores:
        """Shape (len(documents),), each in [-1, 1]; 0 for a query without words."""
        (asked,) = self._model.encode_tokens([query], QUERY_TOKENS)
        return np.array([_maxsim(asked, each) for each in self._read(documents)], np.float32)

    def _read(self, documents: Sequence[str]) -> list[TokenVectors]:
        """Each document's tokens; the model reads those that were not asked for lately."""
        keys = [blake2b(each.encode(), digest_size=16).digest() for each in documents]
        wanted = dict(zip(keys, documents, strict=True))
        there = {key: self._kept.pop(key) for key in wanted if key in self._kept}
        new = [key for key in wanted if key not in there]
        read = self._model.encode_tokens([wanted[key] for key in new])
        there |= {key: vectors.astype(np.float16) for key, vectors in zip(new, read, strict=True)}
        self._kept |= there
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return [there[key].astype(np.float32) for key in keys]


def _maxsim(query: TokenVectors, document: TokenVectors) -> float:
    if not len(query) or not len(document):
        return 0.0
    return float((query @ document.T).max(axis=1).mean())
