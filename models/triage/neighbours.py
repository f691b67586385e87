"""The past tickets nearest to a text, voting for their labels.

Beside a linear head this sees what lies in small clusters, and a handful of examples of a new label count at
once. As a share of votes it cannot tell a strange text from a familiar one: that is left to the other heads.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Vectors

NEAREST = 30
SHARPNESS = 20.0
"""Of the vote: a neighbour 0.05 closer in cosine counts e times as much."""

FLOOR = 1e-3
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`vectors` has shape (examples, dimensions), `target` the position of each one's label among `count`.

    `weights` is how much each one's vote counts. Vectors are in single precision: made of half precision for
    every ticket, 8,700 of them took 7 of its 9 ms of CPU.
    """

    vectors: Vectors
    target: NDArray[np.int32]
    weights: NDArray[np.float16]
    count: int

    def logits(self, vectors: Vectors) -> NDArray[np.float32]:
        """Logarithms of the shares of votes; shape (texts, labels)."""
        parts = [self._block(vectors[i : i + BLOCK]) for i in range(0, len(vectors), BLOCK)]
        return np.concatenate(parts) if parts else np.empty((0, self.count), dtype=np.float32)

    def only(self, kept: NDArray[np.bool_]) -> "Neighbours":
        return replace(self, vectors=self.vectors[kept], target=self.target[kept], weights=self.weights[kept])

    def _block(self, vectors: Vectors) -> NDArray[np.float32]:
        if not len(self.vectors):  # all of them were forgotten
            return np.zeros((len(vectors), self.count), dtype=np.float32)
        likeness = vectors @ self.vectors.T
        k = min(NEAREST, likeness.shape[1])
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        weight = np.exp(SHARPNESS * np.take_along_axis(likeness, nearest, axis=1)) * self.weights[nearest]
        votes = np.zeros((len(vectors), self.count), dtype=np.float32)
        np.add.at(votes, (np.arange(len(vectors))[:, None], self.target[nearest]), weight)
        return np.asarray(np.log(votes / votes.sum(axis=1, keepdims=True) + FLOOR), dtype=np.float32)
