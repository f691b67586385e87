"""What is measured of a triage model, defined once for training, evaluation and tests."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from models.triage.artefact import Prediction
from models.triage.linear import OUT_OF_SCOPE

BINS = 15


def figures(truth: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float]:
    """DESIGN's figures.

    `accuracy`, `top3`, `ece` and `in_scope_accuracy` take the best known label, before abstention; a row that
    is out of scope has none, so it counts as wrong. `macro_f1` is over the rows in scope. `oos_recall` and
    `false_oos` take the decision after abstention.
    """
    labels = np.array(truth)
    best = np.array([p.candidates[0].name for p in predictions])
    right = best == labels
    top3 = [label in {c.name for c in p.candidates[:3]} for label, p in zip(truth, predictions, strict=True)]
    strange = labels == OUT_OF_SCOPE
    found = {
        "accuracy": float(right.mean()),
        "top3": float(np.mean(top3)),
        "macro_f1": float(f1_score(labels[~strange], best[~strange], average="macro", zero_division=0)),
        "ece": calibration_error([p.candidates[0].probability for p in predictions], right.tolist()),
    }
    if strange.any() and not strange.all():
        abstained = np.array([not p.known for p in predictions])
        found |= {
            "oos_recall": float(abstained[strange].mean()),
            "false_oos": float(abstained[~strange].mean()),
            "oos_auroc": float(roc_auc_score(~strange, [p.confidence for p in predictions])),
            "in_scope_accuracy": float(right[~strange].mean()),
        }
    return found


def calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """Expected calibration error over 15 equal bins (Guo et al., 2017)."""
    p, hit = np.array(probabilities), np.array(right, dtype=float)
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [abs(hit[bins == b].sum() - p[bins == b].sum()) for b in range(BINS)]
    return float(sum(gaps) / max(len(p), 1))
