"""Rolls a RayService out and watches it: `python -m deployments.kubernetes.rollout MANIFEST ...`.

KubeRay moves the traffic (rayservice.yaml says how fast), or Serve exchanges the replicas where
serveConfigV2 alone has changed. Until that is done, and a while after, the alert rules are asked: one that
fires and did not before, or an upgrade that does not end in time, puts the previous RayService back.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from deployments.kubernetes import parts

NAME = "eservice"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class RolloutFailed(RuntimeError):
    """The new release does not serve; the message says how that was seen."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.rollout", description=__doc__)
    parser.add_argument("manifest", type=Path, help="what `kubectl kustomize` or `helm template` rendered")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--severity", default="page", help="of the alerts that count")
    parser.add_argument("--within", type=float, default=5400, metavar="SECONDS")
    parser.add_argument(
        "--settle", type=float, default=420, metavar="SECONDS", help="watched on after all traffic is there"
    )
    parser.add_argument("--every", type=float, default=15, metavar="SECONDS")
    options = parser.parse_args(arguments)
    cluster = Cluster(options.namespace)
    before = cluster.service()
    known = firing(options.prometheus, options.severity)
    if known:
        print(f"firing before it begins, and so not held against it: {', '.join(sorted(known))}")
    cluster.apply(parts.of(options.manifest.read_text(), parts.RELEASE))
    try:
        watch(cluster, options, known)
    except (RolloutFailed, KeyboardInterrupt, httpx.HTTPError, subprocess.CalledProcessError) as error:
        print(f"rolling back: {error or 'interrupted'}", file=sys.stderr)
        if before is None:
            print("there is nothing to go back to: this was the first release", file=sys.stderr)
        else:
            cluster.apply(json.dumps(before))
        return 1
    print("rolled out")
    return 0


def watch(cluster: "Cluster", options: argparse.Namespace, known: set[str]) -> None:
    """Return once the upgrade has been complete for a while; `RolloutFailed` where an alert fires.

    A rule of severity `page` fires after at most five minutes of its cause (`monitoring/prometheus/rules`).
    """
    end, last = time.monotonic() + options.within, ""
    settled = float("inf")
    while time.monotonic() < min(end, settled):
        if new := firing(options.prometheus, options.severity) - known:
            raise RolloutFailed(f"alerts fire: {', '.join(sorted(new))}")
        state, complete = progress(cluster.service() or {})
        if state != last:
            print(f"{time.strftime('%X')} {state}", flush=True)
            last = state
        settled = min(settled, time.monotonic() + options.settle) if complete else float("inf")
        time.sleep(options.every)
    if settled == float("inf"):
        raise RolloutFailed(f"not complete after {options.within:.0f} s: {last}")


def firing(prometheus: str, severity: str) -> set[str]:
    """Names of the alerts of that severity that fire now."""
    answer = httpx.get(f"{prometheus}/api/v1/alerts", timeout=15)
    answer.raise_for_status()
    alerts = answer.json()["data"]["alerts"]
    return {
        a["labels"]["alertname"]
        for a in alerts
        if a["state"] == "firing" and a["labels"].get("severity") == severity
    }


def progress(service: dict[str, Any]) -> tuple[str, bool]:
    """What KubeRay says of a RayService, in words, and whether the upgrade is over."""
    status = service.get("status", {})
    if status.get("observedGeneration", 0) < service.get("metadata", {}).get("generation", 1):
        return "KubeRay has not seen it yet", False
    conditions = {each["type"]: each["status"] == "True" for each in status.get("conditions", ())}
    if conditions.get("UpgradeInProgress") or not conditions.get("Ready"):
        pending = status.get("pendingServiceStatus", {})
        routed = pending.get("trafficRoutedPercent", 0)
        capacity = pending.get("targetCapacity", 0)
        return f"new cluster: {capacity} % of the capacity, {routed} % of the traffic", False
    applications = status.get("activeServiceStatus", {}).get("applicationStatuses", {})
    if busy := [f"{name}: {each.get('status')}" for name, each in applications.items() if _is_busy(each)]:
        return ", ".join(busy), False
    return "complete", True


def _is_busy(application: dict[str, Any]) -> bool:
    """A change of serveConfigV2 alone leaves the cluster ready while Serve exchanges its replicas."""
    return application.get("status") != "RUNNING"


class Cluster:
    """What is asked of Kubernetes, by kubectl and its own credentials."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def service(self) -> dict[str, Any] | None:
        """The RayService as it is now, without what the server put there; `None` before the first."""
        found = self._kubectl("get", "rayservice", NAME, "--ignore-not-found", "-o", "json")
        if not found.strip():
            return None
        service: dict[str, Any] = json.loads(found)
        metadata = service["metadata"]
        for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
            metadata.pop(field, None)
        metadata.get("annotations", {}).pop(APPLIED, None)
        return service

    def apply(self, manifest: str) -> None:
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=manifest)

    def _kubectl(self, *arguments: str, given: str | None = None) -> str:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RolloutFailed(f"kubectl {arguments[0]}: {done.stderr.strip()[:1000]}")
        return done.stdout


if __name__ == "__main__":
    sys.exit(main())
