"""How sure it is that a text has any of the labels: learnt on held-out texts. Needs scikit-learn."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.triage.linear import Known, Logits, traits

FALSE_ALARMS = 0.02
"""Share of familiar held-out texts that the threshold may turn away; later texts are a little stranger."""


def learn_confidence(familiar: Logits, strange: Logits) -> tuple[Known, float]:
    """Traits of familiar against strange texts, without strange ones energy alone; and the threshold.

    Where no strange text lies just below the threshold, it moves half-way down to the next one: that costs no
    recall, and spares familiar texts.
    """
    known = _fit_known(traits(familiar), traits(strange))
    limit = float(np.quantile(known(traits(familiar)), FALSE_ALARMS))
    caught = [score for score in known(traits(strange)).tolist() if score < limit]
    return known, (limit + max(caught)) / 2 if caught else limit


def _fit_known(familiar: NDArray[np.float32], strange: NDArray[np.float32]) -> Known:
    if len(strange) < 10:
        spread = max(float(familiar[:, 1].std()), 1e-3)
        centre = float(np.quantile(familiar[:, 1], FALSE_ALARMS))
        return Known(np.array([0, 1 / spread, 0], dtype=np.float32), -centre / spread)
    x = np.concatenate([familiar, strange])
    y = np.concatenate([np.ones(len(familiar)), np.zeros(len(strange))])
    centre, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((x - centre) / spread, y)
    coefficients = model.coef_[0] / spread
    intercept = float(model.intercept_[0] - (coefficients * centre).sum())
    return Known(coefficients.astype(np.float32), intercept)
