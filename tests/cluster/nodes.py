"""A Ray cluster of two nodes on this machine, each with folders, ports and HAProxy of its own."""

import os
import time
from pathlib import Path

import httpx

from config import environment
from deployments.local import processes
from deployments.local.cluster import START_S, Cluster, ClusterFailed

HEAD_IP, SECOND_IP = "127.0.0.2", "127.0.0.3"
CODE = f"{environment.CHECKOUT / 'deployments' / 'local' / 'loopback'}:{environment.CHECKOUT}"
"""As in an image: Serve's controller imports the autoscaling policy. A replica's release stands before it."""


class Node(Cluster):
    """The head, or a worker that joins one; replicas run the release that Serve is told."""

    def __init__(self, home: Path, pool: str, settings: dict[str, str], head: "Node | None" = None) -> None:
        (home / "run").mkdir(parents=True)
        (home / "logs").mkdir()
        super().__init__(home)
        self.pool = pool
        self.head = head or self
        self.settings = settings

    @property
    def address(self) -> str:
        """By another loopback address: Ray takes 127.0.0.1 for the machine's outer one when nodes join."""
        return f"{HEAD_IP}:{self.ports.gcs}"

    def environ(self) -> dict[str, str]:
        return super().environ() | {
            **self.settings,
            "RAY_ADDRESS": self.head.address,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
            if self.head is self
            else "1",  # lets it join on loopback
            "PYTHONPATH": CODE,
            "ESERVICE_MODELS": str(environment.read().models),
            "OMP_NUM_THREADS": "1",
        }

    def _command(self) -> list[str]:
        """From a folder of its own: workers look for modules where Ray was started, before a release."""
        ip = HEAD_IP if self.head is self else SECOND_IP
        command = [each for each in super()._command() if not each.startswith("--node-ip-address")]
        command += [f"--labels=pool={self.pool}", f"--node-ip-address={ip}"]
        command = ["/usr/bin/env", "-C", str(self.home), *command]
        if self.head is self:
            return command
        of_heads = ("--head", "--port=", "--dashboard-host", "--dashboard-port", "--ray-client", "--temp-dir")
        joining = [each for each in command if not each.startswith(of_heads)]
        return [*joining, f"--address={self.head.address}"]

    def _wait(self, log: Path) -> None:
        if self.head is self:
            super()._wait(log)
            return
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.child and self.child.poll() is not None:
                raise ClusterFailed(log.read_text()[-2000:])
            nodes = httpx.get(f"{self.head.dashboard}/nodes?view=summary", timeout=30).json()
            states = [each["raylet"].get("state") for each in nodes["data"]["summary"]]
            if states.count("ALIVE") == 2:
                return
            time.sleep(0.5)
        raise ClusterFailed(f"the second node did not join:\n{log.read_text()[-2000:]}")

    def stop(self) -> None:
        if self.head is self:
            super().stop()
        else:
            processes.end_cluster(self.home, grace_s=2)


def ray_program() -> dict[str, str]:
    """The environment of a command line that speaks to such a cluster."""
    return {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": CODE}
