"""The quality gate lets only figures through that are there and good enough."""

import json
from pathlib import Path

import pytest

from pipelines import gate

REPORT = {"ndcg@10": 0.34, "p95_ms": 80, "chunks": True, "nothing": float("nan")}


@pytest.fixture
def report(tmp_path: Path) -> str:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(REPORT))
    return str(file)


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (["--least", "ndcg@10=0.34"], 0),
        (["--least", "ndcg@10=0.35"], 1),
        (["--most", "p95_ms=80", "--least", "ndcg@10=0.1"], 0),
        (["--most", "p95_ms=79"], 1),
        (["--least", "missing=0"], 1),
        (["--least", "nothing=0"], 1),
        (["--least", "chunks=0"], 1),
    ],
)
def test_the_gate(report: str, bounds: list[str], code: int) -> None:
    assert gate.main([report, *bounds]) == code


@pytest.mark.parametrize("bounds", [[], ["--least", "ndcg"], ["--least", "ndcg=nan"]])
def test_no_gate_is_a_mistake(report: str, bounds: list[str]) -> None:
    with pytest.raises(SystemExit):
        gate.main([report, *bounds])


def test_a_report_that_cannot_be_read(tmp_path: Path) -> None:
    assert gate.main([str(tmp_path / "none.json"), "--least", "ndcg@10=0.3"]) == 1
