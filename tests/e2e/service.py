"""A running service of its own: `python -m deployments.local.serve` in a home that is thrown away."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import httpx

from config.embedded.stores import Stores

ROOT = Path(__file__).parents[2]
START_S = 420.0
RENEWED_AFTER_S = 600.0
"""A token lives fifteen minutes; the long tests of one service take longer."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """Started as `make serve` starts it; `environ` carries what sets it apart."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # PostgreSQL does not run as root: its user has to reach the home
        self.home = home = folder / "home"
        self.port = free_port()
        self.log = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None
        keys = {"ESERVICE_SECRET_KEY", "ESERVICE_KEY_ENCRYPTION_KEY"}
        unset = {"DATABASE_URL", "REDIS_URL", "MILVUS_URI", "RAY_ADDRESS"} | keys
        self.environ = {name: value for name, value in os.environ.items() if name not in unset} | {
            "ESERVICE_HOME": str(home),
            "ESERVICE_PORT": str(self.port),
            "ESERVICE_PROFILE": "test",
            "VLLM_API_KEY": "none",  # of a provider that a test adds
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments.local.serve"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + START_S
        while "eService is ready" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the service did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.5)

    def run(self, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """One of the project's commands, in this service's environment."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def token(self, role: str) -> str:
        done = self.run("-m", "deployments.local.token", role)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def client(self, role: str | None = "customer") -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=Tokens(self, role) if role else None, timeout=60)

    def interrupt(self, timeout_s: float = 60) -> int:
        """Ctrl-C."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """`kill -9` of the process that `make serve` runs."""
        assert self.process
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Whatever happened before, leave nothing."""
        self.run("-m", "deployments.local.stop")
        if self.process and self.process.poll() is None:
            self.kill()
        Stores(self.home).destroy()


class Tokens(httpx.Auth):
    """A role's access token, and another before it expires. A 401 is not asked again: a test may mean it."""

    def __init__(self, service: Service, role: str) -> None:
        self.service = service
        self.role = role
        self.renewal = threading.Lock()
        self._renew()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        with self.renewal:
            if time.monotonic() > self.until:
                self._renew()
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request

    def _renew(self) -> None:
        self.token = self.service.token(self.role)
        self.until = time.monotonic() + RENEWED_AFTER_S
