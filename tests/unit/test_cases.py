"""How solved cases vote, how a question is read, and what is masked before it is kept."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.privacy.masking import masked
from models.retrieval.candidates import Candidate, lifted
from models.retrieval.cases import Votes
from models.retrieval.question import compared, read, views
from models.retrieval.voters import PIVOT, VOTERS, Neighbours, Voting, roots
from tests.factories import WordVectors

WEIGHTS = {"wide": 8.0}


def case(similarity: float, *articles: str) -> tuple[float, tuple[str, ...]]:
    return similarity, articles


def votes(*cases: tuple[float, tuple[str, ...]], how: Voting = Voting(), alike: float = 0.0) -> Votes:
    """Of cases with these cosines to the question; `alike` is theirs to each other."""
    similarities = np.array([similarity for similarity, _ in cases])
    own = np.eye(len(cases)) * math.sqrt(max(1 - alike, 0.0))
    vectors = np.hstack([own, np.full((len(cases), 1), math.sqrt(alike))]).astype(np.float32)
    near = Neighbours(similarities, np.zeros(len(cases)), vectors, [linked for _, linked in cases])
    return Votes((), roots(near, how), WEIGHTS)


def share(found: Votes, article: str, voter: str = "wide") -> float:
    return float(found.roots[article][list(VOTERS).index(voter)] ** 2)


def test_a_case_at_the_pivot_weighs_one() -> None:
    assert share(votes(case(PIVOT, "a"), how=Voting(doubt=1.0)), "a") == pytest.approx(0.5)


def test_many_fairly_similar_cases_outvote_the_most_similar_one() -> None:
    found = votes(case(0.75, "lone"), *[case(0.6, "common")] * 8)
    assert found.leaders(1) == ["common"]


def test_a_case_with_many_links_says_less_of_each() -> None:
    found = votes(case(0.6, "a", "b", "c", "d"), case(0.6, "e"))
    assert share(found, "a") == pytest.approx(share(found, "e") / 2)


def test_a_lone_case_about_something_else_hardly_matters_and_a_like_one_does() -> None:
    assert votes(case(0.05, "a")).lifts()["a"] < 0.5
    assert votes(case(0.7, "a")).lifts()["a"] > 3


def test_cases_that_repeat_each_other_share_one_vote_of_the_ridge() -> None:
    same = votes(*[case(0.6, "a")] * 4, alike=0.95)
    apart = votes(*[case(0.6, "a")] * 4, alike=0.0)
    assert share(same, "a", "ridge") < share(apart, "a", "ridge")
    assert share(same, "a") == pytest.approx(share(apart, "a")), "a kernel counts every one of them"


@given(st.lists(st.tuples(st.floats(-1, 1), st.lists(st.sampled_from("abc"), unique=True)), min_size=1))
def test_shares_are_shares(found: list[tuple[float, list[str]]]) -> None:
    by_article = votes(*[case(similarity, *articles) for similarity, articles in found])
    for article in by_article.roots:
        assert all(0 <= share(by_article, article, voter) < 1 for voter in ("wide", "near", "words"))
        assert np.isfinite(by_article.roots[article]).all()


def test_votes_move_an_articles_passages_and_keep_their_order() -> None:
    found = [
        Candidate(str(i), article, 0, 0, score)
        for i, (article, score) in enumerate([("a", 2), ("b", 1), ("b", 0)])
    ]
    assert [each.chunk_id for each in lifted(found, {"b": 1.5})] == ["1", "0", "2"]
    assert lifted(found, {}) == found


def test_leaders_are_those_with_most_votes() -> None:
    found = {name: np.full(len(VOTERS), value) for name, value in (("a", 0.1), ("b", 0.3), ("c", 0.2))}
    assert Votes((), found, WEIGHTS).leaders(2) == ["b", "c"]
    assert Votes((), found).lifts() == {}


async def test_the_first_line_counts_twice_where_there_is_more_than_it() -> None:
    assert views("Sync fails") == ["Sync fails"]
    assert views("  Sync fails\nSince monday my notes do not sync. ") == [
        "Sync fails\nSince monday my notes do not sync.",
        "Sync fails",
    ]
    vector = (await read("sync\nmy notes are gone", WordVectors(), first_line=0.7)).passages
    assert math.isclose(float(np.linalg.norm(vector)), 1, abs_tol=1e-6)
    plain = (await read("sync\nmy notes are gone", WordVectors(), first_line=0.0)).passages
    subject = WordVectors().encode(["sync"])[0]
    assert vector @ subject > plain @ subject


async def test_a_case_is_read_as_questions_are_compared() -> None:
    question = "Sync fails\n" + "and so on " * 200
    asked = await read(question, WordVectors(), first_line=0.7)
    np.testing.assert_array_equal(await compared(question, WordVectors()), asked.questions)


def test_a_long_ticket_is_read_by_its_opening() -> None:
    assert all(len(view) <= 600 for view in views("word " * 5000))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Write to jane.doe+x@mail.example.co.uk today", "Write to [email] today"),
        ("Call +49 (30) 1234-5678 or 030 123 45 67", "Call [number] or [number]"),
        ("Card 4111 1111 1111 1111 was charged", "Card [number] was charged"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
        ("from 192.168.0.17 since 10:30", "from [address] since 10:30"),
        ("see https://example.com/reset?token=abc123", "see [link]"),
        ("see https://example.com", "see https://example.com"),
        ("Jane Doe here, jane@x.org. Thanks, Jane", "[name] here, [email]. Thanks, [name]"),
        ("error FL-204 in version 68.0.2 on Windows 10", "error FL-204 in version 68.0.2 on Windows 10"),
    ],
)
def test_personal_data_is_masked_and_the_rest_is_kept(text: str, kept: str) -> None:
    assert masked(text, ["Jane Doe"]) == kept
