"""Two people sort a desk's tickets by turns, each in a manner of their own: the past is told apart."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.embedding.protocol import Vectors
from models.triage import manners
from models.triage.fitting import Examples, fit

TOPICS, DIMENSIONS = 8, 24
COARSE = np.array([0, 0, 2, 2, 4, 4, 6, 6])
"""The second person's labels: every other topic's name for the one beside it."""

Days = NDArray[np.bool_]


def desk(second: Days, quiet: Days | None = None) -> tuple[Vectors, NDArray[np.int64]]:
    """Tickets of eight topics, one in five labelled at random; `second` where the second person was on duty.

    Where it is `quiet` nobody asks about topic 3.
    """
    rng = np.random.default_rng(7)
    topic = rng.integers(TOPICS, size=len(second))
    topic[(topic == 3) & (False if quiet is None else quiet)] = 0
    centres = np.random.default_rng(3).normal(size=(TOPICS, DIMENSIONS))
    vectors = centres[topic] + 0.5 * rng.normal(size=(len(second), DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    given = np.where(second, COARSE[topic], topic)
    stray = rng.random(len(second)) < 0.2
    return vectors.astype(np.float32), np.where(stray, rng.integers(TOPICS, size=len(second)), given)


def turns(*days: int) -> Days:
    """On duty by turns, the first person first, for so many tickets each."""
    return np.repeat(np.arange(len(days)) % 2 == 1, days)


@pytest.mark.parametrize(
    "second",
    [turns(1500, 900, 300), turns(300, 200, 200, 100, 400), turns(500, 700), turns(900, 300)],
    ids=["back again", "by turns", "for good", "since lately"],
)
def test_what_was_labelled_as_now_counts_most(second: Days) -> None:
    weights = manners.weights(*desk(second), TOPICS)
    now = second == second[-1]
    assert weights.mean() == pytest.approx(1)
    assert weights[now].mean() > 2 * weights[~now].mean()
    assert (weights[now] > 1).mean() > 0.9


def test_where_one_person_sorts_every_ticket_counts_the_same() -> None:
    assert set(manners.weights(*desk(turns(1200)), TOPICS)) == {1}


def test_a_change_of_what_is_asked_about_is_no_change_of_manner() -> None:
    released = turns(*[450, 150] * 4)
    assert set(manners.weights(*desk(turns(2400), quiet=~released), TOPICS)) == {1}


def test_a_file_sorted_by_label_has_no_order_in_time() -> None:
    vectors, target = desk(turns(900, 300))
    order = np.argsort(target, kind="stable")
    assert set(manners.weights(vectors[order], target[order], TOPICS)) == {1}


def test_the_same_text_gets_the_label_that_is_given_now() -> None:
    """In two thirds of the file tickets of topic 1 are called 0, but not any more."""
    vectors, target = desk(turns(200, 800, 200))
    labels = np.array([f"topic {each}" for each in target])
    classifier = fit(Examples(["a ticket"] * len(labels), vectors, labels)).classifier
    fresh, truth = desk(turns(400))
    said = classifier.logits(["a ticket"] * 400, fresh).argmax(axis=1)
    assert (said == truth)[truth % 2 == 1].mean() > 0.6, "one in five is labelled at random"
