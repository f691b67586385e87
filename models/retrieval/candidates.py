"""Gathers what dense and sparse search find and scores every candidate both ways."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.retrieval.bm25 import dot
from models.retrieval.fusion import mix, with_support
from models.retrieval.store import Hit, SparseVector


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that a search found, with its cosine and its BM25 score, whichever search found it."""

    chunk_id: str
    article_id: str
    cosine: float
    keyword: float
    score: float = 0.0


def merged(
    dense: Sequence[Hit], sparse: Sequence[Hit], vector: NDArray[np.float32], terms: SparseVector
) -> list[Candidate]:
    """Every chunk that either search found, once."""
    found = {
        hit.chunk_id: Candidate(hit.chunk_id, hit.article_id, hit.score, dot(terms, hit.sparse or {}))
        for hit in dense
    }
    for hit in sparse:
        if hit.chunk_id not in found:
            cosine = float(vector @ hit.dense) if hit.dense is not None else 0.0
            found[hit.chunk_id] = Candidate(hit.chunk_id, hit.article_id, cosine, hit.score)
    return list(found.values())


def ranked(candidates: Sequence[Candidate], *, dense_weight: float, support: float) -> list[Candidate]:
    """Best first, by a mix of both scores and of what else the article has."""
    fused = mix([c.cosine for c in candidates], [c.keyword for c in candidates], dense_weight)
    scores = with_support(fused, [c.article_id for c in candidates], support)
    order = np.argsort(-scores, kind="stable")
    return [
        Candidate(c.chunk_id, c.article_id, c.cosine, c.keyword, float(scores[i]))
        for i, c in ((i, candidates[i]) for i in order)
    ]
