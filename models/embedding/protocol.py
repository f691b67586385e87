"""What turns text into vectors, wherever it runs."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""Unit vectors, one a row: shape (texts, dimensions)."""
TokenVectors: TypeAlias = NDArray[np.float32]
"""Unit vectors of one text's tokens: shape (tokens, dimensions)."""


class Encoder(Protocol):
    """A model in this process. Not for several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def version(self) -> str:
        """`name:precision:max_tokens`: what an index says its vectors are made with."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in the order of `texts`; what is too long is cut."""
        ...

    def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        """What `encode` gives, and the signs of every text's tokens (`models.embedding.signs`), or none."""
        ...

    def encode_fading(self, texts: Sequence[str]) -> Vectors:
        """Each text's vector, and the one that fades (`models.embedding.fading`): (texts, 2, dimensions)."""
        ...


class Embedder(Protocol):
    """An embedding model that can be awaited: in this process or behind a deployment handle."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed `texts`; the result has shape (len(texts), dimensions)."""
        ...

    async def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        """What `read` of the model gives."""
        ...

    async def embed_fading(self, texts: Sequence[str]) -> Vectors:
        """What `encode_fading` of the model gives: (len(texts), 2, dimensions)."""
        ...
