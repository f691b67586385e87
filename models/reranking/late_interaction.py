"""Reranks by late interaction: every word of the query looks for its best match in the document.

score(q, d) = mean over the tokens of q of max over the tokens of d of their cosine (MaxSim, Khattab &
Zaharia 2020, "ColBERT"), on the token vectors of the embedding model itself: no further weights are needed.
A document's tokens are read by their signs, as an index keeps them.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from models.embedding.onnx import OnnxEmbedder, Precision
from models.embedding.protocol import TokenVectors
from models.embedding.signs import packed, unpacked
from models.reranking.protocol import Scores

QUERY_TOKENS = 64
"""A question's opening says what it is about; the rest of a long ticket blurs the mean."""

KEPT = 5_000
"""Documents without signs that were read here and are kept, 38 MB: to read one takes longer than all else."""


class LateInteraction:
    """Run it on one thread, as `LocalReranker` does."""

    def __init__(
        self, folder: Path, *, precision: Precision = "int8", threads: int = 1, max_tokens: int = 160
    ) -> None:
        self.name = f"{folder.name}-maxsim"
        self._model = OnnxEmbedder(folder, precision, threads, max_tokens)
        self._kept: dict[bytes, bytes] = {}  # signs by digest, the least recently used first

    def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        """Shape (len(documents),), each in [-1, 1]; 0 for a query or a document without words.

        `signs` are the documents' own where they are known; an empty one is read from the text.
        """
        (asked,) = self._model.encode_tokens([query], QUERY_TOKENS)
        known = list(signs) or [b""] * len(documents)
        read = iter(self._read([text for text, own in zip(documents, known, strict=True) if not own]))
        return _maxsim(asked, [own or next(read) for own in known])

    def _read(self, documents: Sequence[str]) -> list[bytes]:
        """Each document's tokens; the model reads those that were not asked for lately."""
        keys = [blake2b(each.encode(), digest_size=16).digest() for each in documents]
        wanted = dict(zip(keys, documents, strict=True))
        there = {key: self._kept.pop(key) for key in wanted if key in self._kept}
        new = [key for key in wanted if key not in there]
        read = self._model.encode_tokens([wanted[key] for key in new])
        there |= {key: packed(vectors) for key, vectors in zip(new, read, strict=True)}
        self._kept |= there
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return [there[key] for key in keys]


def _maxsim(query: TokenVectors, documents: Sequence[bytes]) -> Scores:
    """Of all documents in one product: q · (2b - 1) / √d for their bits b."""
    scores = np.zeros(len(documents), np.float32)
    tokens, dimensions = query.shape
    filled = [i for i, each in enumerate(documents) if each]
    if not filled or not tokens:
        return scores
    bits = unpacked(b"".join(documents[i] for i in filled), dimensions)
    cosines = (2 * (query @ bits.T.astype(np.float32)) - query.sum(axis=1)[:, None]) / np.sqrt(dimensions)
    lengths = [8 * len(documents[i]) // dimensions for i in filled]
    starts = np.cumsum([0, *lengths[:-1]])
    scores[filled] = np.maximum.reduceat(cosines, starts, axis=1).mean(axis=0)
    return scores
