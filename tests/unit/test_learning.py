"""How much votes count is learnt, and only used where it wins on cases it was not chosen on."""

import random

import numpy as np

from models.retrieval.candidates import Candidate
from models.retrieval.cases import Votes
from models.retrieval.learning import LEAST, Lesson, confidence, learn, ndcg
from models.retrieval.retriever import Candidates
from models.retrieval.voters import VOTERS
from pipelines.evaluation.ranking import Figures
from pipelines.evaluation.stages import interval, rankings, summary


def lesson(*, cases_know: bool, rng: random.Random) -> Lesson:
    """Articles by themselves put the right one third or fourth; cases either know it or guess."""
    order = ["a", "b", "c", "d"]
    right = order[rng.choice([2, 3])]
    candidates = [Candidate(each, each, 0.0, 0.0, 1.0 - 0.4 * i) for i, each in enumerate(order)]
    voted = right if cases_know else order[rng.choice([0, 1])]
    nobody, somebody = np.zeros(len(VOTERS)), np.zeros(len(VOTERS))
    somebody[0] = 0.45
    return Lesson(candidates, Votes((), dict.fromkeys(order, nobody) | {voted: somebody}), {right})


def halves(lessons: list[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    return lessons[: len(lessons) // 2], lessons[len(lessons) // 2 :]


def test_a_weight_is_learnt_where_cases_know() -> None:
    rng = random.Random(1)
    learnt = learn(*halves([lesson(cases_know=True, rng=rng) for _ in range(200)]), {})
    assert learnt
    assert learnt.won
    assert learnt.weights["wide"] > 1
    assert abs(learnt.weights["ridge"]) < 1e-3, "what says nothing counts nothing"
    assert learnt.figures["ndcg@10"] > learnt.figures["ndcg@10_before"]


def test_what_does_not_win_on_newer_cases_is_not_used() -> None:
    rng = random.Random(2)
    older = [lesson(cases_know=True, rng=rng) for _ in range(120)]
    newer = [lesson(cases_know=False, rng=rng) for _ in range(80)]
    learnt = learn(older, newer, {})
    assert learnt
    assert not learnt.won


def test_a_few_cases_teach_nothing() -> None:
    assert (
        learn(*halves([lesson(cases_know=True, rng=random.Random(3))] * (LEAST - 1)), {"wide": 8.0}) is None
    )


def test_ndcg_is_the_evaluators() -> None:
    ranked = ["x", "a", "y", "b"]
    assert ndcg(ranked, {"a", "b", "c"}) == Figures.of(ranked, {"a": 1, "b": 1, "c": 1}).ndcg
    assert ndcg(["x"], set()) == 0


def test_nothing_is_certain_of_no_difference() -> None:
    same = np.ones(50)
    assert confidence(same, same) == 0
    assert confidence(same, np.zeros(50)) == 1


def test_stages_are_judged_apart() -> None:
    found = [Candidate("1", "a", 0.9, 0.0, 1.0), Candidate("2", "b", 0.1, 5.0, 0.5)]
    votes = Votes((), {"b": np.full(len(VOTERS), 0.5)}, {"wide": 8.0})
    orders = rankings(Candidates(None, found, votes))
    assert orders == {"dense": ["a", "b"], "sparse": ["b"], "fused": ["a", "b"], "with_cases": ["b", "a"]}
    assert "with_cases" not in rankings(Candidates(None, found))


def test_the_interval_holds_the_mean() -> None:
    values = [0.0, 1.0] * 100
    low, high = interval(values)
    assert 0.4 < low < 0.5 < high < 0.6
    figures = summary([Figures(each, each, each) for each in values])
    assert figures["ndcg@10"] == 0.5
