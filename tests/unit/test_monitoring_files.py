"""What Prometheus and Grafana are given: tested alerts, current dashboards, names that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from monitoring import metrics  # noqa: F401  (declares them)
from monitoring.dashboards import BOARDS, FOLDER, Board, built
from monitoring.instruments import DECLARED

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
TESTS = sorted(PROMETHEUS.glob("*_test.yml"))
QUERIES = [
    (panel.title, query) for board in BOARDS for panel in board.panels() for query in panel.queries.values()
]


def rules(kind: str) -> list[dict[str, Any]]:
    files = [yaml.safe_load(file.read_text()) for file in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"] if kind in rule]


ALERTS = rules("alert")
RECORDED = {rule["record"] for rule in rules("record")}


def cases() -> list[tuple[str, bool]]:
    """Every alert that is tested, and whether the test expects it to fire."""
    return [
        (case["alertname"], bool(case["exp_alerts"]))
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_tested_firing_and_silent_and_has_a_runbook(alert: dict[str, Any]) -> None:
    tested = cases()
    assert (alert["alert"], True) in tested
    assert (alert["alert"], False) in tested
    runbook = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert runbook.startswith(f"# {alert['alert']}\n")
    assert alert["labels"]["severity"] in {"page", "ticket"}


def test_no_runbook_without_an_alert() -> None:
    named = {rule["alert"] for rule in ALERTS}
    assert {
        file.stem for file in (ROOT / "docs/runbooks").glob("[A-Z]*.md") if file.stem != "README"
    } == named


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_promtool_agrees(file: Path) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", file.name],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_of_a_dashboard_parses_and_asks_for_what_there_is(title: str, query: str) -> None:
    promql_parser.parse(query)
    assert not unknown(query)


@pytest.mark.parametrize("rule", [*ALERTS, *rules("record")], ids=lambda r: r.get("alert") or r["record"])
def test_every_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])
    assert not unknown(rule["expr"])


def unknown(query: str) -> set[str]:
    """Metrics a query names that are neither declared, nor recorded, nor Ray's or Prometheus' own."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without) \([^)]*\)", "", query)
    words = set(re.findall(r"\b[a-z][a-z0-9_:]{3,}\b(?!\s*\()", bare)) - {"unless", "offset", "vector"}
    series = set(DECLARED) | {
        f"{name}_{part}"
        for name, each in DECLARED.items()
        if each.declaration.kind == "histogram"
        for part in ("bucket", "count", "sum")
    }
    return {word for word in words - series - RECORDED if not word.startswith("ray_") and "_" in word}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_committed_dashboard_is_current(board: Board) -> None:
    assert (FOLDER / f"{board.uid}.json").read_text() == built(board), "run python -m monitoring.dashboards"
