"""What triage reaches on real data outside the checkout, by the command line's own code."""

from pathlib import Path

import pytest
from rich.console import Console

from config import environment
from pipelines.evaluation.triage import evaluate

DATA = Path(__file__).parents[3] / "shared" / "data" / "triage"
MODEL = environment.read().models / "all-minilm-l6-v2"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not DATA.exists(), reason="there is no ../shared/data beside this checkout"),
    pytest.mark.skipif(not MODEL.exists(), reason="the embedding model was not prepared: `make setup`"),
]


def test_clinc150() -> None:
    folder = DATA / "clinc150"
    found = evaluate(folder / "train.jsonl.gz", folder / "val.jsonl.gz", "local", Console(stderr=True))
    assert found["in_scope_accuracy"] >= 0.955
    assert found["oos_recall"] >= 0.80
    assert found["false_oos"] <= 0.04
    assert found["ece"] <= 0.05
