"""How the mix of labels has moved lately, where the order of the examples shows that it moves.

Which labels are given changes from month to month: products, seasons, and who assigns them. Of two labels
that a text may have, the one that is common now is likelier (Saerens et al., "Adjusting the Outputs of a
Classifier to New a Priori Probabilities", 2002). Whether the newest examples foretell the next ones better
than all do is found out on the examples themselves: in files without an order in time they do not, and
nothing is shifted.
"""

import numpy as np
from numpy.typing import NDArray

SLICES = 5
"""Of the examples, in their order; the newest one is what the present is judged by."""

BELIEF = 20.0
"""Examples that the mix before is worth, beside a slice's own."""

STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)

UNHEARD = 0.1
"""Share of a slice with labels that no slice before it has: above it the order is not one of time, or the
labels themselves have changed."""

Shift = NDArray[np.float32]


def shift_of(target: NDArray[np.int64], count: int) -> Shift:
    """What to add to each of `count` labels' logits; `target` are the examples' labels, oldest first."""
    bounds = [len(target) * i // SLICES for i in range(SLICES + 1)]
    gains = np.zeros(len(STEPS))
    for k in range(2, SLICES):
        before, now = target[: bounds[k]], target[bounds[k] : bounds[k + 1]]
        heard = np.isin(now, before)
        if not len(now) or 1 - heard.mean() > UNHEARD:
            return np.zeros(count, dtype=np.float32)
        old, moved = _log_shares(before, target[bounds[k - 1] : bounds[k]], count)
        gains += [_likelihood(old + step * moved, now[heard]) for step in STEPS]
    _, moved = _log_shares(target, target[bounds[-2] :], count)
    return np.asarray(STEPS[int(gains.argmax())] * moved, dtype=np.float32)


def _log_shares(
    every: NDArray[np.int64], newest: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the shares among all, and how far those among the newest are from them."""
    shares = np.bincount(every, minlength=count) + 0.5
    shares = shares / shares.sum()
    lately = np.bincount(newest, minlength=count) + BELIEF * shares
    return np.log(shares), np.log(lately / lately.sum()) - np.log(shares)


def _likelihood(logits: NDArray[np.float64], target: NDArray[np.int64]) -> float:
    return float((logits - np.log(np.exp(logits).sum()))[target].sum())
