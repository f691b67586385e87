"""Gathers what dense and sparse search find and scores every candidate both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.retrieval.fusion import mix, with_support
from models.retrieval.kept import cosines, overlaps
from models.retrieval.store import ChunkVectors, Hit, SparseVector


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that a search found, with its cosine and its BM25 score, whichever search found it."""

    chunk_id: str
    article_id: str
    cosine: float
    keyword: float
    score: float = 0.0


def merged(
    dense: Sequence[Hit],
    sparse: Sequence[Hit],
    vectors: Mapping[str, ChunkVectors],
    vector: NDArray[np.float32],
    terms: SparseVector,
) -> list[Candidate]:
    """Every chunk that either search found and that is still there, once."""
    articles = {hit.chunk_id: hit.article_id for hit in (*dense, *sparse) if hit.chunk_id in vectors}
    chunks = [vectors[chunk_id] for chunk_id in articles]
    scores = zip(cosines(vector, chunks).tolist(), overlaps(terms, chunks).tolist(), strict=True)
    return [
        Candidate(chunk_id, article_id, cosine, keyword)
        for (chunk_id, article_id), (cosine, keyword) in zip(articles.items(), scores, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Weights:
    """How scores are mixed.

    `dense` is the cosine's share where no passage has any of the question's words; it falls by up to
    `coverage` as the best one has more of them. A claim whose every word is in one passage is a matter of
    keywords, a rambling ticket is not: against a fixed share this brings 0.008 nDCG@10 on Firefox's questions
    and costs SciFact's nothing. `support` is what an article's other passages count.
    """

    dense: float
    coverage: float
    support: float


def ranked(candidates: Sequence[Candidate], weights: Weights, *, mass: float) -> list[Candidate]:
    """Best first, by a mix of both scores; `mass` is what the question's words weigh together."""
    if not candidates:
        return []
    keyword = [candidate.keyword for candidate in candidates]
    covered = min(max(keyword) / mass, 1.0) if mass else 0.0
    share = max(weights.dense - weights.coverage * covered, 0.0)
    fused = mix([candidate.cosine for candidate in candidates], keyword, share)
    scores = with_support(fused, [candidate.article_id for candidate in candidates], weights.support)
    order = np.argsort(-scores, kind="stable")
    return [replace(candidates[i], score=float(scores[i])) for i in order]


def lifted(candidates: Sequence[Candidate], lifts: Mapping[str, float]) -> list[Candidate]:
    """The same candidates in the order that their articles' lifts make of their scores."""
    if not lifts:
        return list(candidates)
    raised = [replace(each, score=each.score + lifts.get(each.article_id, 0.0)) for each in candidates]
    return sorted(raised, key=lambda each: -each.score)
