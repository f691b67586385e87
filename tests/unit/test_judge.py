"""Priority and sentiment: what the rules say, how likely that is, and what people's labels make of it."""

import numpy as np
import pytest

from models.triage.judge import untaught
from models.triage.protocol import PRIORITIES, SENTIMENTS
from models.triage.teaching import teach

RNG = np.random.default_rng(0)


def vectors(n: int) -> np.ndarray:
    return RNG.normal(size=(n, 16)).astype(np.float32)


def test_before_anybody_spoke_the_rules_are_believed_a_little() -> None:
    for names in (PRIORITIES, SENTIMENTS):
        judge = untaught(names)
        for verdict in names:
            said = judge(verdict, vectors(1)[0])
            assert (said.name, said.probability) == (verdict, pytest.approx(0.6))
        assert judge.shares.sum(axis=1) == pytest.approx(1)


def test_what_is_nearer_is_likelier() -> None:
    normal, high, urgent = untaught(PRIORITIES).shares[0][1:]
    assert normal > high > urgent > 0


def test_labels_move_the_probability_and_in_the_end_the_word() -> None:
    few = teach(PRIORITIES, ["high"] * 5, ["high"] * 5, vectors(5))
    assert few("high", vectors(1)[0]).probability == pytest.approx((6 + 5) / 15)
    many = teach(PRIORITIES, ["high"] * 40, ["normal"] * 40, vectors(40))
    said = many("high", vectors(1)[0])
    assert said.name == "normal"
    assert said.probability > 0.8
    assert many("urgent", vectors(1)[0]).name == "urgent", "of others nobody said anything"


def test_probabilities_are_honest_where_the_rules_are_blind() -> None:
    """A text's vector says it, the rules do not: the head takes over, as far as it is right."""
    x = vectors(600)
    truth = np.where(x[:, 0] + 0.3 * RNG.normal(size=600) > 0, "high", "normal")
    verdicts = ["normal"] * 600
    judge = teach(PRIORITIES, verdicts[:400], truth[:400].tolist(), x[:400])
    assert judge.weight > 0.5
    said = [judge("normal", each) for each in x[400:]]
    right = np.array([s.name == t for s, t in zip(said, truth[400:], strict=True)])
    assert right.mean() > 0.85
    assert abs(right.mean() - np.mean([each.probability for each in said])) < 0.1


def test_noise_teaches_the_head_nothing() -> None:
    n = 200
    truth = RNG.choice(["normal", "high"], size=n).tolist()
    judge = teach(PRIORITIES, ["normal"] * n, truth, vectors(n))
    assert judge.weight <= 0.4
    assert judge("normal", vectors(1)[0]).probability < 0.8
