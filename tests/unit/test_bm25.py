"""BM25 as a dot product is BM25."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.retrieval.bm25 import (
    K1,
    PIVOT_TERMS,
    B,
    coverage,
    document_vector,
    idf,
    query_terms,
    query_vector,
)
from models.retrieval.kept import overlaps
from models.retrieval.library import CorpusStatistics
from models.retrieval.store import ChunkVectors
from models.retrieval.terms import hashed, terms

WORDS = ("sync", "conflict", "vault", "invoice", "proxy", "export", "note")
DOCUMENTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), min_size=1, max_size=8)


def statistics(documents: list[str]) -> CorpusStatistics:
    found: dict[int, int] = {}
    for document in documents:
        for term in document_vector(document):
            found[term] = found.get(term, 0) + 1
    return CorpusStatistics(len(documents), found)


@given(DOCUMENTS, st.sampled_from(["vault", "sync conflict", "export note proxy"]))
def test_the_dot_product_is_the_formula(documents: list[str], query: str) -> None:
    known = statistics(documents)
    wanted = query_vector(query_terms(query), known)
    for document in documents:
        words = [hashed(term) for term in terms(document)]
        expected = 0.0
        for term in {hashed(term) for term in terms(query)}:
            frequency = words.count(term)
            norm = K1 * (1 - B + B * len(words) / PIVOT_TERMS)
            weight = idf(known.chunks, known.chunks_with.get(term, 0))
            expected += weight * frequency * (K1 + 1) / (frequency + norm)
        (score,) = overlaps(wanted, [ChunkVectors.of([], document_vector(document))])
        assert score == pytest.approx(expected, rel=1e-6)


def test_words_of_one_stem_and_any_case_are_one_term() -> None:
    assert set(terms("Syncing syncs SYNCED")) == set(terms("sync"))


def test_stop_words_do_not_count() -> None:
    assert list(terms("How do I do this?")) == []


def test_codes_and_settings_are_terms_as_a_whole_too() -> None:
    assert {"fl-204", "about:config"} <= set(terms("FL-204 in about:config"))


def test_rarer_terms_weigh_more() -> None:
    assert idf(100, 1) > idf(100, 50) > idf(100, 100) > 0


def test_unknown_terms_are_left_out_of_the_query() -> None:
    assert query_vector(query_terms("zebra"), CorpusStatistics(10, {})) == {}


def test_a_repeated_word_counts_its_square_root() -> None:
    known = CorpusStatistics(10, {hashed("vault"): 2})
    once = query_vector(query_terms("vault"), known)[hashed("vault")]
    assert query_vector(query_terms("vault vault"), known)[hashed("vault")] == pytest.approx(
        math.sqrt(2) * once
    )


def test_coverage_is_the_share_of_the_questions_words() -> None:
    known = CorpusStatistics(10, {hashed("vault"): 2, hashed("passphras"): 2})
    words = query_terms("vault passphrase")
    assert coverage(words, "The vault's passphrase", known) == pytest.approx(1.0)
    assert coverage(words, "The vault", known) == pytest.approx(0.5)
    assert coverage(query_terms("how do I"), "The vault", known) == 0.0


@given(st.text())
def test_every_term_fits_a_milvus_sparse_vector(text: str) -> None:
    assert all(0 <= term < 2**32 - 1 and weight > 0 for term, weight in document_vector(text).items())
