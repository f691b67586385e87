"""Which articles solve questions like this one, learnt over all cases and all articles at once.

A softmax regression in bilinear form: the chance that article p solves question q is
softmax_p(s · qᵀ(I + D)p + b_p), with D and b fitted to the cases (maximum a posteriori under Gaussian priors,
which hold D and b near zero, plain likeness). Votes know articles that some near case links; this learns what
kind of question goes to what kind of article, so that it also ranks articles which no case has led to yet:
over linked articles alone next to nothing is left of it (0.001 nDCG@10 on Firefox's cases instead of 0.019).
Every article's title counts as one more case, a question which that article solves: 0.004 on Firefox's cases.

What is kept is one vector and one number an article, linear combinations over all cases: no case's words, no
case's vector. It knows nothing of links by itself, so that it is fitted anew when links were taken back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Vectors: TypeAlias = NDArray[np.float32]
Array: TypeAlias = NDArray[np.float64]

SHARPNESS = 12.0
"""s: of 10 to 20 nothing is better on Firefox's questions."""
STIFFNESS = 10.0
"""The prior's precision of D; with 4 or 20 instead, nDCG@10 of the chances alone falls by 0.004 and 0.003."""
STEPS = 60
"""Of L-BFGS: 1,127 cases over 435 articles take 3 s on one core."""
FLOOR = -8.0
"""The log-chance below which an article is as good as excluded; one of 3,000 by blind guess."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """`vectors` has a row of the embedder's dimensions for each of `articles`, `biases` a number."""

    articles: tuple[str, ...]
    vectors: Vectors
    biases: Vectors

    def lifts(self, question: NDArray[np.float32], weight: float) -> dict[str, float]:
        """By article, `weight` times how far its log-chance is above `FLOOR`; articles below are left out."""
        logits = (self.vectors @ question + self.biases).astype(np.float64)
        above = logits - np.logaddexp.reduce(logits) - FLOOR
        return {self.articles[i]: weight * float(above[i]) for i in np.flatnonzero(above > 0)}


def fit(
    questions: Vectors,
    links: Sequence[Sequence[str]],
    articles: Sequence[str],
    places: Vectors,
    titles: Vectors,
) -> Affinity | None:
    """From the cases' unit vectors and what solved each, over `articles` by their openings and titles.

    Links to other articles are ignored; `None` where no link is left.
    """
    right = _chances(links, articles)
    solved = right.any(axis=1)
    if not solved.any():
        return None
    asked = np.vstack([questions[solved], titles]).astype(np.float64)
    right, held = np.vstack([right[solved], np.eye(len(articles))]), places.astype(np.float64)
    dimensions = asked.shape[1]
    plain = SHARPNESS * asked @ held.T

    def loss(theta: Array) -> tuple[float, Array]:
        turn, bias = theta[: dimensions**2].reshape(dimensions, dimensions), theta[dimensions**2 :]
        logits = plain + SHARPNESS * (asked @ turn) @ held.T + bias
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        wrong = np.exp(logits) - right
        prior = 0.5 * STIFFNESS * float((turn**2).sum()) + 0.5 * float(bias @ bias)
        slope = SHARPNESS * asked.T @ (wrong @ held) + STIFFNESS * turn
        gradient = np.concatenate([slope.ravel(), wrong.sum(axis=0) + bias])
        return prior - float((right * logits).sum()), gradient

    start = np.zeros(dimensions**2 + len(articles))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    turn, bias = found[: dimensions**2].reshape(dimensions, dimensions), found[dimensions**2 :]
    vectors = SHARPNESS * (held + held @ turn.T)
    return Affinity(tuple(articles), vectors.astype(np.float32), bias.astype(np.float32))


def _chances(links: Sequence[Sequence[str]], articles: Sequence[str]) -> Array:
    """A row for each case: the articles that solved it, in equal parts."""
    column = {article: i for i, article in enumerate(articles)}
    chances = np.zeros((len(links), len(articles)))
    for row, linked in enumerate(links):
        known = [column[article] for article in linked if article in column]
        chances[row, known] = 1 / max(len(known), 1)
    return chances
