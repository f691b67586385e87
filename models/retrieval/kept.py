"""Vectors of chunks, kept where questions are answered: a store is asked only for those it was not asked for.

Every hit is scored both ways (the worst score of the other list in its place costs 0.015 nDCG@10 on real
questions), and to carry the vectors of two hundred hits took Milvus Lite half of a search's time.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.retrieval.store import ChunkVectors, Hit, SparseVector, VectorStore

MOST = 20_000
"""Chunks kept of one collection: 40 MB."""
SECONDS = 600.0
"""How long, so that what was deleted or erased is not in memory for longer than that."""
APART = 1e-3
"""What a store's own score and one of what is kept may differ by, of 1 or of the score."""

Array: TypeAlias = NDArray[np.float64]


class KeptVectors:
    """Of one collection: at most `most`, the newest, each for `seconds`.

    An id may come to mean another vector: a case's question was changed, a collection was made anew. So
    whatever is kept has to give the scores that the store's own search gave; where one does not, all is
    forgotten and read again.
    """

    def __init__(self, store: VectorStore, *, most: int = MOST, seconds: float = SECONDS) -> None:
        self._store = store
        self._most = most
        self._seconds = seconds
        self._kept: dict[str, tuple[float, ChunkVectors]] = {}  # the oldest first
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    async def learn(self, chunk_ids: Collection[str]) -> dict[str, ChunkVectors]:
        """Of those of these chunks that the store has; raises `StoreUnavailable`."""
        there = {each: self._kept[each][1] for each in chunk_ids if each in self._kept}
        if unknown := [each for each in dict.fromkeys(chunk_ids) if each not in there]:
            read = await self._store.vectors(unknown)
            self._keep(read)
            there |= read
        return there

    async def of(
        self,
        dense: Sequence[Hit],
        vector: NDArray[np.float32],
        sparse: Sequence[Hit] = (),
        terms: SparseVector | None = None,
    ) -> dict[str, ChunkVectors]:
        """Of what the searches for `vector` and `terms` found; raises `StoreUnavailable`."""
        wanted = [hit.chunk_id for hit in (*dense, *sparse)]
        found = await self.learn(wanted)
        near, matching = _there(dense, found), _there(sparse, found)
        if not (
            _agree(near, cosines(vector, [found[hit.chunk_id] for hit in near]))
            and _agree(matching, overlaps(terms or {}, [found[hit.chunk_id] for hit in matching]))
        ):
            self.forget()
            found = await self.learn(wanted)
        return found

    def forget(self) -> None:
        self._kept.clear()
        if self._sweeping:
            self._sweeping.cancel()
            self._sweeping = None

    def _keep(self, read: dict[str, ChunkVectors]) -> None:
        now = asyncio.get_running_loop().time()
        for chunk_id, vectors in read.items():
            self._kept.pop(chunk_id, None)
            self._kept[chunk_id] = now, vectors
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        if self._kept and self._sweeping is None:
            self._sweep()

    def _sweep(self) -> None:
        """Forget what is too old, and come back when the next is."""
        loop, self._sweeping = asyncio.get_running_loop(), None
        while self._kept:
            chunk_id, (since, _) = next(iter(self._kept.items()))
            if since + self._seconds > loop.time():
                self._sweeping = loop.call_at(since + self._seconds, self._sweep)
                return
            del self._kept[chunk_id]


def cosines(vector: NDArray[np.float32], chunks: Sequence[ChunkVectors]) -> Array:
    """Of unit vectors."""
    if not chunks:
        return np.zeros(0)
    return np.asarray(np.stack([chunk.dense for chunk in chunks]) @ vector, dtype=np.float64)


def overlaps(terms: SparseVector, chunks: Sequence[ChunkVectors]) -> Array:
    """The dot product of these terms with each chunk's."""
    if not terms or not chunks:
        return np.zeros(len(chunks))
    asked = np.array(sorted(terms))
    weights = np.array([terms[term] for term in asked.tolist()])
    theirs = np.concatenate([chunk.terms for chunk in chunks])
    at = np.minimum(np.searchsorted(asked, theirs), len(asked) - 1)
    products = np.where(asked[at] == theirs, weights[at], 0.0)
    products *= np.concatenate([chunk.weights for chunk in chunks])
    owners = np.repeat(np.arange(len(chunks)), [len(chunk.terms) for chunk in chunks])
    return np.bincount(owners, products, minlength=len(chunks)).astype(np.float64)


def _there(hits: Sequence[Hit], found: Collection[str]) -> list[Hit]:
    return [hit for hit in hits if hit.chunk_id in found]


def _agree(hits: Sequence[Hit], ours: Array) -> bool:
    theirs = np.array([hit.score for hit in hits])
    return bool((np.abs(ours - theirs) <= APART * np.maximum(np.abs(theirs), 1.0)).all())
