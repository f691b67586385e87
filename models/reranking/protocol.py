"""What judges how well documents answer a query, wherever it runs."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float32]
"""One score a document, higher is better; comparable within one query only."""


class Reranker(Protocol):
    @property
    def name(self) -> str: ...

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        """Score each of `documents` against `query`; the result has shape (len(documents),).

        `signs` are those of the documents' tokens, where the embedder has read them already
        (`models.embedding.signs`): late interaction spares itself those texts.
        """
        ...
