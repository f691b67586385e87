"""What keeps vectors and finds the nearest, wherever it runs. It holds no text: PostgreSQL does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.retrieval.passages import Filters

SparseVector: TypeAlias = dict[int, float]
"""Weights by term, a term being an unsigned 32-bit hash."""


class StoreUnavailable(RuntimeError):
    """The vector store is down or too slow."""


@dataclass(frozen=True, slots=True)
class Record:
    """One chunk as the store keeps it: how to find it and who may."""

    chunk_id: str
    article_id: str
    audiences: tuple[str, ...]
    products: tuple[str, ...]
    topics: tuple[str, ...]
    language: str
    dense: NDArray[np.float32]
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk and its score, higher is better: a cosine in a dense search, a dot product in a sparse one."""

    chunk_id: str
    article_id: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class ChunkVectors:
    """Both vectors of a chunk as arrays: 2 KB, a fifth of what a dictionary of weights takes."""

    dense: NDArray[np.float32]
    terms: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, dense: ArrayLike, sparse: SparseVector) -> "ChunkVectors":
        return cls(
            np.asarray(dense, dtype=np.float32),
            np.fromiter(sparse.keys(), np.int64, len(sparse)),
            np.fromiter(sparse.values(), np.float32, len(sparse)),
        )


class VectorStore(Protocol):
    """One collection. Every call has a deadline and raises `StoreUnavailable` past it."""

    @property
    def name(self) -> str:
        """What it is called where it is said to be down."""
        ...

    async def ensure(self, dimensions: int) -> None:
        """Create the collection where it is missing; `ValueError` where it has other dimensions."""
        ...

    async def upsert(self, records: Sequence[Record]) -> None: ...

    async def delete(self, chunk_ids: Sequence[str]) -> None:
        """Forget these chunks; ids that are not there are ignored."""
        ...

    async def flush(self) -> None:
        """Make what was written durable and quick to search. Call it after bulk writes."""
        ...

    async def count(self) -> int: ...

    async def ids(self) -> set[str]:
        """Every chunk id in the store: for repairs, not for each run."""
        ...

    async def search_dense(
        self, vector: NDArray[np.float32], *, filters: Filters, limit: int
    ) -> list[Hit]: ...

    async def search_sparse(self, vector: SparseVector, *, filters: Filters, limit: int) -> list[Hit]: ...

    async def vectors(self, chunk_ids: Sequence[str]) -> dict[str, ChunkVectors]:
        """Of those of these chunks that are there."""
        ...

    async def ping(self) -> None:
        """Return if the store answers, raise `StoreUnavailable` if not."""
        ...

    async def capacity(self) -> int | None:
        """How many chunks it holds before searches get slow; `None` where that is no concern."""
        ...

    async def publish(self, alias: str) -> None:
        """Let `alias` mean this collection from now on, for whoever reads the store beside us."""
        ...

    async def drop(self) -> None:
        """Forget the whole collection."""
        ...

    async def close(self) -> None: ...
