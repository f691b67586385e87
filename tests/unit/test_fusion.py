"""Mixing scores: normalised, supported by the article's other passages, spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.retrieval.candidates import Candidate, Weights, merged, ranked
from models.retrieval.fusion import mix, raised, spread, with_support, z_scores
from models.retrieval.store import ChunkVectors, Hit

SCORES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50)


@given(SCORES)
def test_z_scores_have_mean_0_and_deviation_1_or_are_all_0(scores: list[float]) -> None:
    z = z_scores(scores)
    assert z.mean() == pytest.approx(0, abs=1e-6)
    assert z.std() == pytest.approx(1, abs=1e-6) or not z.any()


@given(SCORES, st.floats(0.01, 100), st.floats(-100, 100))
def test_the_scale_of_a_score_does_not_matter(scores: list[float], scale: float, shift: float) -> None:
    other = list(range(len(scores)))
    moved = [scale * score + shift for score in scores]
    if np.ptp(scores) > 1e-3 and np.ptp(moved) > 1e-3:
        assert mix(moved, other, 0.5) == pytest.approx(mix(scores, other, 0.5), abs=1e-4)


def test_the_weight_decides() -> None:
    assert np.argmax(mix([1, 0], [0, 1], 0.8)) == 0
    assert np.argmax(mix([1, 0], [0, 1], 0.2)) == 1


def test_a_reranker_moves_what_is_close_together_and_not_what_is_far_apart() -> None:
    told = np.array([0.1, 0.9, 0.8], np.float32)
    assert np.argsort(-raised([1.0, 0.9, 0.8], told, 0.2)).tolist() == [1, 2, 0]
    assert np.argsort(-raised([9.0, 5.0, 1.0], told, 0.2)).tolist() == [0, 1, 2]
    assert raised([1.0, 2.0], np.zeros(2, np.float32), 0.2) == pytest.approx([1.0, 2.0])


def test_an_article_with_several_good_passages_is_lifted() -> None:
    scores = with_support(np.array([1.0, 0.95, 0.9, -1.0]), ["lone", "rich", "rich", "lone"], 0.5)
    assert np.argmax(scores) == 1


@given(SCORES)
def test_support_keeps_the_order_within_an_article(scores: list[float]) -> None:
    before = np.array(scores)
    after = with_support(before, ["one"] * len(scores), 0.5)
    assert after - before == pytest.approx(np.full(len(scores), (after - before)[0]))


def test_support_leaves_passages_of_different_articles_alone() -> None:
    assert with_support(np.array([2.0, 1.0]), ["a", "b"], 0.5) == pytest.approx([2.0, 1.0])


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 3))
def test_spread_keeps_the_order_and_the_limit(articles: list[str], limit: int) -> None:
    kept = spread(range(len(articles)), articles, limit)
    assert kept == sorted(kept)
    taken = [articles[i] for i in kept]
    assert all(taken.count(each) == min(limit, articles.count(each)) for each in set(articles))


def test_every_candidate_is_scored_both_ways() -> None:
    vector = np.array([1.0, 0.0], np.float32)
    dense = [Hit("a", "x", 0.6), Hit("gone", "z", 0.5)]
    sparse = [Hit("b", "y", 4.5), Hit("a", "x", 6.0)]
    vectors = {
        "a": ChunkVectors.of([0.6, 0.8], {7: 2.0, 9: 1.0}),
        "b": ChunkVectors.of([0.0, 1.0], {7: 1.5}),
        "c": ChunkVectors.of([1.0, 0.0], {7: 9.0}),
    }
    found = {each.chunk_id: each for each in merged(dense, sparse, vectors, vector, {3: 1.0, 7: 3.0})}
    assert found.keys() == {"a", "b"}, "what a search found and what is still there"
    assert (found["a"].cosine, found["a"].keyword) == (pytest.approx(0.6), 6.0)
    assert (found["b"].cosine, found["b"].keyword) == (0.0, 4.5)


def candidate(name: str, cosine: float, keyword: float) -> Candidate:
    return Candidate(name, name, cosine, keyword)


def test_keywords_weigh_more_the_more_of_the_question_one_passage_has() -> None:
    candidates = [candidate("meaning", 0.9, 1.0), candidate("words", 0.8, 5.0)]
    weights = Weights(dense=0.7, coverage=0.4, support=0.0)
    assert ranked(candidates, weights, mass=100.0)[0].chunk_id == "meaning"
    assert ranked(candidates, weights, mass=5.0)[0].chunk_id == "words"


def test_a_question_without_words_is_ranked_by_meaning() -> None:
    candidates = [candidate("a", 0.1, 0.0), candidate("b", 0.2, 0.0)]
    assert ranked(candidates, Weights(0.5, 0.3, 0.3), mass=0.0)[0].chunk_id == "b"


def test_no_candidates_are_ranked_to_none() -> None:
    assert ranked([], Weights(0.5, 0.3, 0.3), mass=1.0) == []
