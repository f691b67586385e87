"""A roll-out goes through, or back: against a Prometheus and a kubectl that are scripted."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployments.kubernetes import rollout

BEFORE = {
    "kind": "RayService",
    "metadata": {"name": "eservice", "generation": 1, "uid": "u"},
    "spec": {"version": 1},
}
KUBECTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
case "$*" in
    *apply*) cat > "applied-$(ls applied-* 2>/dev/null | wc -l)" ;;
    *get*)
        n=$(cat asked 2>/dev/null || echo 0)
        echo $((n + 1)) > asked
        cat "state-$n" 2>/dev/null || cat state-last ;;
esac
"""


class Prometheus(BaseHTTPRequestHandler):
    answers: list[list[str]]

    def do_GET(self) -> None:
        names = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        alerts = [{"labels": {"alertname": n, "severity": "page"}, "state": "firing"} for n in names]
        alerts.append({"labels": {"alertname": "Slow", "severity": "ticket"}, "state": "firing"})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": {"alerts": alerts}}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `kubectl` answers with the states that stand there."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def states(folder: Path, *states: dict[str, Any]) -> None:
    for n, state in enumerate(states):
        (folder / f"state-{n}").write_text(json.dumps(state))
    (folder / "state-last").write_text(json.dumps(states[-1]))


def service(generation: int, *, ready: bool, upgrading: bool, routed: int = 0) -> dict[str, Any]:
    conditions = [("Ready", ready), ("UpgradeInProgress", upgrading)]
    return {
        "metadata": {"name": "eservice", "generation": generation},
        "status": {
            "observedGeneration": generation,
            "pendingServiceStatus": {"trafficRoutedPercent": routed, "targetCapacity": 100},
            "conditions": [{"type": kind, "status": str(value)} for kind, value in conditions],
        },
    }


def run(folder: Path, prometheus: str, within: float = 5, settle: float = 0) -> int:
    manifest = folder / "manifest.yaml"
    manifest.write_text(f"kind: Role\n---\n{NEW}")
    flags = ["--namespace", "n", "--prometheus", prometheus, "--every", "0.01", "--within", str(within)]
    return rollout.main([str(manifest), "--settle", str(settle), *flags])


def applied(folder: Path) -> list[str]:
    return [file.read_text() for file in sorted(folder.glob("applied-*"))]


NEW = "kind: RayService\nspec: {version: 2}\n"
UPGRADING = service(2, ready=True, upgrading=True, routed=40)
DONE = service(2, ready=True, upgrading=False)


def test_it_waits_until_all_traffic_is_there(
    cluster: Path, prometheus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    states(cluster, BEFORE, UPGRADING, UPGRADING, DONE)
    Prometheus.answers = [[]]
    assert run(cluster, prometheus) == 0
    assert applied(cluster) == [NEW], "and nothing that is the platform's"
    assert "40 % of the traffic" in capsys.readouterr().out


def test_an_alert_puts_the_previous_release_back(cluster: Path, prometheus: str) -> None:
    states(cluster, BEFORE, UPGRADING)
    Prometheus.answers = [[], [], ["ErrorsTooMany"]]
    assert run(cluster, prometheus) == 1
    _, back = applied(cluster)
    assert json.loads(back)["spec"] == {"version": 1}
    assert "uid" not in json.loads(back)["metadata"]


def test_an_alert_soon_after_puts_it_back_too(cluster: Path, prometheus: str) -> None:
    states(cluster, BEFORE, DONE)
    Prometheus.answers = [[], [], [], ["ErrorsTooMany"]]
    assert run(cluster, prometheus, settle=5) == 1
    assert len(applied(cluster)) == 2


def test_a_changed_configuration_is_complete_when_serve_has_carried_it_out() -> None:
    deploying = {"eservice": {"status": "DEPLOYING"}}
    status = DONE["status"] | {"activeServiceStatus": {"applicationStatuses": deploying}}
    assert rollout.progress(DONE | {"status": status}) == ("eservice: DEPLOYING", False)
    deploying["eservice"]["status"] = "RUNNING"
    assert rollout.progress(DONE | {"status": status})[1]


def test_what_fired_before_is_not_held_against_it(cluster: Path, prometheus: str) -> None:
    states(cluster, BEFORE, UPGRADING, DONE)
    Prometheus.answers = [["DiskFull"]]
    assert run(cluster, prometheus) == 0


def test_an_upgrade_that_does_not_end_goes_back(cluster: Path, prometheus: str) -> None:
    states(cluster, BEFORE, UPGRADING)
    Prometheus.answers = [[]]
    assert run(cluster, prometheus, within=0.3) == 1
    assert len(applied(cluster)) == 2


def test_a_change_that_kuberay_has_not_seen_is_not_complete() -> None:
    unseen = DONE | {"metadata": {"generation": 3}}
    assert rollout.progress(unseen) == ("KubeRay has not seen it yet", False)
    assert rollout.progress(DONE)[1]
