"""The mix of labels moves with time where it does, and not where the file has no time in it."""

import numpy as np

from models.triage.trend import shift_of

RNG = np.random.default_rng(0)
USUAL, LATELY = (0.7, 0.2, 0.1), (0.2, 0.2, 0.6)


def drawn(*mixes: tuple[float, ...], each: int = 400) -> np.ndarray:
    return np.concatenate([RNG.choice(len(mix), size=each, p=mix) for mix in mixes])


def test_what_became_common_and_stayed_so_is_likelier() -> None:
    shift = shift_of(drawn(USUAL, USUAL, LATELY, LATELY, LATELY), 3)
    assert shift[2] > 0.2
    assert shift[0] < -0.2
    assert abs(shift[1]) < 0.2


def test_where_nothing_moves_nothing_is_shifted() -> None:
    assert np.abs(shift_of(drawn(*[USUAL] * 5), 3)).max() < 0.1


def test_what_goes_to_and_fro_foretells_nothing() -> None:
    assert np.abs(shift_of(drawn(USUAL, LATELY, USUAL, LATELY, USUAL), 3)).max() == 0


def test_a_file_sorted_by_label_has_no_time_in_it() -> None:
    assert np.abs(shift_of(np.repeat(np.arange(50), 40), 50)).max() == 0


def test_a_handful_of_examples_is_left_alone() -> None:
    for n in (0, 1, 3, 7):
        assert np.isfinite(shift_of(np.arange(n) % 2, 2)).all()
