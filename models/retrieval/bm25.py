"""BM25 as a dot product of two sparse vectors, right while documents come and go.

score(q, d) = Σ idf(t) · tf(t, d) · (k1 + 1) / (tf(t, d) + k1 · (1 - b + b · |d| / pivot))

(Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework", with Lucene's idf.) The document's side
depends on its own text alone: in place of the corpus's mean length stands a constant, since chunks are cut to
one size anyway. idf stands on the query's side, from the statistics of the moment. So no document's vector
ages when another one changes.
"""

import math
from collections import Counter

from models.retrieval.library import CorpusStatistics
from models.retrieval.store import SparseVector
from models.retrieval.terms import hashed, terms

K1 = 0.9
B = 0.4
"""BEIR's baselines' (Thakur et al. 2021): chunks are of one size, so that length says little. Against 1.2 and
0.75 they bring 0.002 nDCG@10 on Firefox's questions, and 0.004 on SciFact's beside another encoder's vectors.
Passages that were indexed with others keep their weights until they are indexed again."""
PIVOT_TERMS = 80
"""A chunk's usual length in terms: 180 tokens are about 140 words, of which 80 are no stop words."""


def document_vector(text: str) -> SparseVector:
    counts = Counter(map(hashed, terms(text)))
    norm = K1 * (1 - B + B * counts.total() / PIVOT_TERMS)
    return {term: count * (K1 + 1) / (count + norm) for term, count in counts.items()}


def query_terms(query: str) -> Counter[int]:
    return Counter(map(hashed, terms(query)))


def query_vector(counts: Counter[int], statistics: CorpusStatistics) -> SparseVector:
    """The terms that some document has. A repeated word counts its square root: tickets ramble."""
    weights = query_weights(counts, statistics)
    return {term: weight for term, weight in weights.items() if statistics.chunks_with.get(term)}


def query_weights(counts: Counter[int], statistics: CorpusStatistics) -> SparseVector:
    """What each of the query's terms weighs, known or not."""
    return {
        term: idf(statistics.chunks, statistics.chunks_with.get(term, 0)) * math.sqrt(count)
        for term, count in counts.items()
    }


def idf(chunks: int, chunks_with: int) -> float:
    return math.log1p((chunks - chunks_with + 0.5) / (chunks_with + 0.5))


def coverage(counts: Counter[int], text: str, statistics: CorpusStatistics) -> float:
    """Which share of the query's words, by weight, `text` has; in [0, 1]."""
    weights = query_weights(counts, statistics)
    there = document_vector(text)
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in there) / total if total else 0.0
