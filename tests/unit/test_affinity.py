"""An affinity learns which articles solve which kind of question, and is used only where it wins."""

import numpy as np
import pytest

from models.retrieval.affinity import FLOOR, Affinity, Vectors, fit
from models.retrieval.candidates import Candidate
from models.retrieval.cases import Votes, added
from models.retrieval.learning import Lesson, judged

ARTICLES = [f"article-{i}" for i in range(12)]
DIMENSIONS = 24


def unit(vectors: np.ndarray) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def places() -> Vectors:
    return unit(np.random.default_rng(0).normal(size=(len(ARTICLES), DIMENSIONS)))


@pytest.fixture
def titles(places: Vectors) -> Vectors:
    """Each near its article."""
    return unit(places + np.random.default_rng(7).normal(size=places.shape, scale=0.02))


def questions(places: Vectors, of: list[int], seed: int) -> Vectors:
    """Customers speak of article i in the words of the one before: likeness alone never finds it."""
    noise = np.random.default_rng(seed).normal(size=(len(of), DIMENSIONS), scale=0.05)
    return unit(np.roll(places, 1, axis=0)[of] + noise)


def best(learnt: Affinity, question: Vectors) -> str:
    lifts = learnt.lifts(question, 1.0)
    return max(lifts, key=lambda article: lifts[article])


def test_it_learns_how_customers_speak_of_articles(places: Vectors, titles: Vectors) -> None:
    of = list(range(len(ARTICLES))) * 10
    learnt = fit(questions(places, of, 1), [[ARTICLES[i]] for i in of], ARTICLES, places, titles)
    assert learnt
    assert [best(learnt, each) for each in questions(places, list(range(12)), 2)] == ARTICLES
    nothing = Affinity(tuple(ARTICLES), 12 * places, np.zeros(12, dtype=np.float32))
    assert best(nothing, questions(places, [3], 2)[0]) != ARTICLES[3]


def test_an_article_that_no_case_led_to_is_ranked_by_likeness(places: Vectors, titles: Vectors) -> None:
    of = list(range(6)) * 10
    learnt = fit(places[of], [[ARTICLES[i]] for i in of], ARTICLES, places, titles)
    assert learnt
    assert best(learnt, places[9]) == ARTICLES[9]


def test_a_title_is_a_question_that_its_article_solves(places: Vectors) -> None:
    of, elsewhere = list(range(6)) * 10, np.roll(places, 3, axis=0)
    learnt = fit(questions(places, of, 1), [[ARTICLES[i]] for i in of], ARTICLES, places, elsewhere)
    assert learnt
    assert best(learnt, elsewhere[9]) == ARTICLES[9], "no case led to it, and it lies elsewhere"


def test_lifts_are_what_chances_are_above_the_floor(places: Vectors) -> None:
    learnt = Affinity(("a", "b", "c"), 40 * np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32))
    lifts = learnt.lifts(np.array([1, 0.99, 0], dtype=np.float32), 0.5)
    assert lifts.keys() == {"a", "b"}, "a chance below the floor lifts nothing and holds nothing down"
    assert lifts["a"] - lifts["b"] == pytest.approx(0.5 * 0.4, abs=1e-4)
    assert lifts["a"] == pytest.approx(0.5 * (-FLOOR + np.log(1 / (1 + np.exp(-0.4)))), abs=1e-4)


def test_links_to_articles_that_are_gone_teach_nothing(places: Vectors, titles: Vectors) -> None:
    assert fit(places[:2], [["gone"], []], ARTICLES, places, titles) is None
    with_gone = fit(places[:2], [["article-0", "gone"], ["article-1"]], ARTICLES, places, titles)
    without = fit(places[:2], [["article-0"], ["article-1"]], ARTICLES, places, titles)
    assert with_gone
    assert without
    np.testing.assert_allclose(with_gone.vectors, without.vectors)


def test_it_has_to_win_on_newer_cases() -> None:
    found = [Candidate(each, each, 0.0, 0.0, 1.0 - 0.4 * i) for i, each in enumerate("abcd")]
    lessons = [Lesson(found, Votes(), {"c"})] * 60
    assert judged(lessons, [{"c": 2.0}] * 60, 1.0).won
    assert not judged(lessons, [{"a": 2.0}] * 60, 1.0).won
    assert not judged(lessons, [{}] * 60, 1.0).won


def test_lifts_of_votes_and_affinity_add_up_and_votes_can_be_had_alone() -> None:
    assert added({"a": 1.0}, {"a": 0.5, "b": 2.0}) == {"a": 1.5, "b": 2.0}
    votes = Votes(learnt={"b": 2.0})
    assert votes.lifts() == {"b": 2.0}
    assert votes.lifts({"wide": 1.0}) == {}
