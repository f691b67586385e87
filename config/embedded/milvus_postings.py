"""Milvus Lite's index of sparse vectors, with arrays in the place of lists: numpy adds up the products."""

from typing import TypeAlias

import numpy as np
from milvus_lite.index.sparse_common import empty_results, validate_mask
from milvus_lite.index.sparse_ip import SparseIpIndex
from milvus_lite.schema.sparse import normalize_sparse_vector
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]


class Postings(SparseIpIndex):  # type: ignore[misc]  # milvus-lite ships no types
    """The same scores to the last bit; of equal ones the lower row comes first."""

    def build(self, sparse_vectors: list[dict[int, float]], valid_mask: Mask | None = None) -> None:
        self.num_rows = len(sparse_vectors)
        mask = validate_mask(valid_mask, self.num_rows)
        postings: dict[int, tuple[list[int], list[float]]] = {}
        for row, vector in enumerate(sparse_vectors):
            if mask is None or mask[row]:
                for term, weight in normalize_sparse_vector(vector).items():
                    rows, weights = postings.setdefault(term, ([], []))
                    rows.append(row)
                    weights.append(weight)
        self._postings = {
            term: (np.array(rows, np.int32), np.array(weights, np.float32))
            for term, (rows, weights) in postings.items()
        }

    def _search_prepared(
        self, queries: list[dict[int, float]], top_k: int, valid_mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        mask = validate_mask(valid_mask, self.num_rows)
        ids, distances = empty_results(len(queries), top_k)
        for number, query in enumerate(queries):
            scores = np.zeros(self.num_rows)
            met = np.zeros(self.num_rows, dtype=bool)
            for term, weight in query.items():
                if term in self._postings:
                    rows, weights = self._postings[term]
                    scores[rows] += weight * weights.astype(np.float64)
                    met[rows] = True
            found = np.flatnonzero(met if mask is None else met & mask)
            best = found[np.argsort(-scores[found], kind="stable")[:top_k]]
            ids[number, : len(best)] = best
            distances[number, : len(best)] = -scores[best]
        return ids, distances
