"""`make status` without a service, and what it says of one that is not well."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from deployments.local import status
from deployments.local.looking import Page, last_errors


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "REDIS_URL", "MILVUS_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ESERVICE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ESERVICE_PORT", "1")
    return tmp_path / "home"


def test_it_says_clearly_that_nothing_runs_and_starts_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main([]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing runs in" in said
    assert "make serve" in said
    assert not home.exists(), "looking must leave no trace"


def test_the_same_for_programs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--json"]) == 3
    page = json.loads(capsys.readouterr().out)
    assert page["running"] is False
    assert {store["state"] for store in page["stores"]} == {"stopped"}


def test_a_page_has_everything_that_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(
        "/home",
        running=True,
        ready={"status": "degraded", "dependencies": {"milvus": "down"}},
        deployments=[
            {"name": "Gateway", "status": "UNHEALTHY", "running": 0, "wanted": 1, "message": "x\ny"}
        ],
        queues=[{"kind": "triage_ticket", "waiting": 12, "oldest_s": 3.5, "dead": 1}],
        providers=[{"name": "openai", "model": "m", "enabled": True, "state": {"circuit": "open"}}],
        figures={"answers": 12.0, "p95_ms": 6400.0, "cost_usd": 0.0123, "day_deflection_rate": 0.417},
        errors=[{"timestamp": "t", "deployment": "Worker", "event": "job failed [/red]"}],
    )
    status.show(page, Console(width=160))
    said = capsys.readouterr().out
    for part in (
        "degraded",
        "Gateway",
        "milvus",
        "triage_ticket",
        "open",
        "6,400 ms",
        "0.0123 USD",
        "42%",
        "[/red]",
    ):
        assert part in said


def test_the_last_errors_of_every_replica(tmp_path: Path) -> None:
    for replica in range(2):
        lines = [
            json.dumps({"timestamp": f"2026-01-0{day}T0{replica}", "level": level, "event": f"{day} {level}"})
            for day, level in enumerate(("info", "error", "warning"), 1)
        ]
        (tmp_path / f"worker-{replica}.err").write_text("\n".join(["not json", "{broken", *lines]))
    assert [line["event"] for line in last_errors(tmp_path, 3)] == ["2 error", "3 warning", "3 warning"]
