"""`make serve`: everything on this machine, from nothing to a first answer; Ctrl-C ends all of it.

Stores, cluster and model preparation come up side by side; the sample is indexed while the LLM loads.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import yaml

from app import db
from config import environment
from config.embedded import locks
from config.embedded.child import is_free
from config.embedded.stores import Stores, unnamed
from config.environment import CHECKOUT, Environment
from config.profile import Profile, ProfileError, load
from deployments.local import demo, processes
from deployments.local.cluster import Cluster, ClusterFailed
from deployments.local.report import Report, banner

APP = "eservice"
SAMPLE_TICKETS = ("--train", "examples/tickets.jsonl")
READY_S = 420.0
DISK_NEEDED = 2 << 30
"""Bytes: prepared models 0.5 GB, Ray's and the stores' logs and data the rest."""


class CannotServe(RuntimeError):
    """The service cannot be started; the message says what to do."""


def main() -> int:
    for sign in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: started in the background it would be ignored
        signal.signal(sign, _interrupt)
    try:
        env = environment.read()
        profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
        with _only_one(env):
            processes.end_cluster(env.home)  # what a crash left behind still holds the port
            check(env)
            return Service(env, profile).run()
    except (CannotServe, ProfileError, ClusterFailed, environment.InvalidSetting) as error:
        print(f"make serve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _only_one(env: Environment) -> Iterator[None]:
    (env.home / "run").mkdir(parents=True, exist_ok=True)
    pid_file = env.home / "run" / "serve.pid"
    try:
        with locks.exclusive(env.home / "run" / "serve.lock", timeout_s=0):
            pid_file.write_text(str(os.getpid()))
            yield
            pid_file.unlink(missing_ok=True)
    except locks.Busy as error:
        pid = pid_file.read_text() if pid_file.exists() else "?"
        raise CannotServe(f"a service already runs in {env.home} (pid {pid}); `make stop` ends it") from error


def check(env: Environment) -> None:
    """Stop before anything is started, where it could not end well."""
    if not is_free(env.port):
        raise CannotServe(f"port {env.port} is in use; set ESERVICE_PORT to another one")
    free = shutil.disk_usage(env.home).free
    if free < DISK_NEEDED:
        raise CannotServe(
            f"{free / 2**30:.1f} GiB are free under {env.home}, {DISK_NEEDED >> 30} GiB are needed; "
            "free some, or set ESERVICE_HOME to a folder on another disk"
        )


class Service:
    def __init__(self, env: Environment, profile: Profile) -> None:
        self.env = env
        self.profile = profile
        self.stores = Stores(env.home, wanted=unnamed(env))
        self.report = Report()
        self.ended = threading.Event()
        self.cluster: Cluster | None = None

    def run(self) -> int:
        started = time.monotonic()
        try:
            self._start()
            took = time.monotonic() - started
            print(banner(self.env, self.cluster, demo.ROLES, demo.password(self.env.home), took))
            return self._watch()
        except KeyboardInterrupt:
            self.report.line("stopping")
            return 0
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
            self._stop()

    def _start(self) -> None:
        with ThreadPoolExecutor(2) as pool, self.report.step("stores and models"):
            preparing = pool.submit(self._command, "-m", "models.preparation", "all")
            self._open_stores()
            preparing.result()
        with self.report.step("database"):
            dsn = os.environ["DATABASE_URL"]
            asyncio.run(self._prepare_database(dsn))
        with self.report.step("Ray"):
            self.cluster = Cluster(self.env.home)
            os.environ.update(self.cluster.environ())
            self.cluster.start()
            self.cluster.deploy(serve_config(self.env, self.profile))
        with self.report.step("sample knowledge base and triage"):
            self._command("-m", "pipelines.index", "--source", "examples/knowledge", "--full")
            if not asyncio.run(demo.has_learnt_triage(dsn)):
                self._command("-m", "pipelines.train", "triage", *SAMPLE_TICKETS, "--promote")
        with self.report.step("application (the LLM takes about a minute)"):
            self._wait_until_ready()

    def _open_stores(self) -> None:
        os.environ.update(self.stores.start().environ())
        if self.env.secret_key is None and self.env.secret_key_file is None:
            os.environ["ESERVICE_SECRET_KEY"] = self.stores.secret_key()
        if self.env.key_encryption_key is None and self.env.key_encryption_key_file is None:
            os.environ["ESERVICE_KEY_ENCRYPTION_KEY_FILE"] = str(self.stores.key_file())
        threading.Thread(target=self.stores.watch, args=(self.ended,), daemon=True).start()

    async def _prepare_database(self, dsn: str) -> None:
        await db.migrate(dsn)
        if self.profile.auth.demo_users:
            await demo.seed_desk(dsn, self.env.home, CHECKOUT / "examples" / "agents.yaml")

    def _command(self, *arguments: str) -> None:
        """A step in a process of its own: torch and Ray Data stay out of this one."""
        log = self.env.home / "logs" / f"{arguments[1]}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        if done.returncode:
            raise CannotServe(f"{' '.join(arguments)} failed:\n{log.read_text()[-2000:]}")

    def _wait_until_ready(self) -> None:
        """Ready means that the LLM has answered through the front door."""
        assert self.cluster  # noqa: S101
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if not self.cluster.is_alive():
                raise CannotServe(f"Ray ended; see {self.env.home}/logs/ray.log")
            application = self.cluster.application(APP)
            if application.get("status") == "DEPLOY_FAILED":
                raise CannotServe(f"the application did not start: {_why(application)}")
            if application.get("status") == "RUNNING" and _is_ready(self.env.port):
                return
            time.sleep(0.5)
        logs = f"{self.cluster.folder}/session_latest/logs"
        raise CannotServe(f"not ready after {READY_S:.0f} s; see `make doctor` and {logs}")

    def _watch(self) -> int:
        assert self.cluster  # noqa: S101
        while self.cluster.is_alive():
            time.sleep(0.5)
        print(f"Ray ended; see {self.env.home}/logs/ray.log", file=sys.stderr)
        return 1

    def _stop(self) -> None:
        self.ended.set()
        if self.cluster:
            self.cluster.stop()
        self.stores.release()


def serve_config(env: Environment, profile: Profile) -> dict[str, Any]:
    """`serve_config.yaml` with this home's port and profile."""
    config: dict[str, Any] = yaml.safe_load((CHECKOUT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = env.port
    config["applications"][0]["args"]["profile"] = profile.name
    return config


def _is_ready(port: int) -> bool:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
        return answer.status_code == 200 and answer.json()["dependencies"]["llm"] == "up"
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def _why(application: dict[str, Any]) -> str:
    broken = [
        f"{name}: {deployment['message']}"
        for name, deployment in application.get("deployments", {}).items()
        if deployment["status"] not in {"HEALTHY", "UPDATING"}
    ]
    return "\n".join([application.get("message", ""), *broken])[:3000]


if __name__ == "__main__":
    sys.exit(main())
