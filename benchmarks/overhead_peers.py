"""What `llm_overhead.py` measures: the instant LLM itself, eService before it, LiteLLM's proxy before it."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from app import db
from app.auth import service as auth
from app.auth.schemas import Identity
from app.auth.tokens import AccessTokens
from config import environment
from config.embedded.stores import Stores
from config.environment import CHECKOUT
from config.keyring import FixedKeys
from config.profile import load
from deployments.local.cluster import Cluster
from deployments.local.serve import APP, serve_config

KEY = "sk-instant-0123456789"
PACKAGE = "litellm[proxy]"
UP_S = 180


@dataclass
class Peer:
    name: str
    url: str
    key: str
    model: str
    version: str = ""
    pid: int | None = None
    recorded: Callable[[], int] = lambda: 0
    redis: str | None = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(
    command: list[str], log: Path, url: str, environ: Mapping[str, str | None] | None = None
) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={k: v for k, v in {**os.environ, **(environ or {})}.items() if v is not None},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(url, log, lambda: process.poll() is None)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(url: str, log: Path, alive: Callable[[], bool] = lambda: True) -> None:
    """Until something answers at `url`, whatever it says."""
    end = time.monotonic() + UP_S
    while time.monotonic() < end and alive():
        try:
            urllib.request.urlopen(url, timeout=2)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.3)
    raise SystemExit(f"nothing answers at {url}:\n{log.read_text()[-3000:] if log.exists() else ''}")


@contextmanager
def instant(folder: Path) -> Iterator[Peer]:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "benchmarks.instant_llm", str(port)]
    with _process(command, folder / "instant.log", f"{url}/up"):
        yield Peer("instant LLM", url, KEY, "instant")


@contextmanager
def eservice(folder: Path, llm: Peer) -> Iterator[Peer]:
    """The application in the profile `bench`: one gateway replica behind HAProxy, stores of its own."""
    os.environ |= {
        "ESERVICE_HOME": str(folder / "home"),
        "ESERVICE_PORT": str(_free_port()),
        "INSTANT_LLM_BASE_URL": f"{llm.url}/v1",
        "INSTANT_LLM_API_KEY": llm.key,
    }
    (folder / "home" / "logs").mkdir(parents=True)
    (folder / "home" / "run").mkdir()
    env, profile = environment.read(), load("bench")
    with Stores(env.home) as addresses:
        stores = Stores(env.home)
        os.environ |= addresses.environ() | {"ESERVICE_SECRET_KEY": stores.secret_key()}
        dsn = str(addresses.database_url)
        token = asyncio.run(_prepared(dsn, AccessTokens(FixedKeys.of(stores.secret_key()), 3600)))
        cluster = Cluster(env.home)
        os.environ.update(cluster.environ())
        try:
            cluster.start()
            config = serve_config(env, profile)
            shapes = config["applications"][0]["deployments"]
            config["applications"][0]["deployments"] = [s for s in shapes if s["name"] != "LLM"]
            config["applications"][0]["deployments"][0]["autoscaling_config"] |= {"max_replicas": 1}
            cluster.deploy(config)
            url = f"http://127.0.0.1:{env.port}"
            _wait_running(cluster, url)
            yield Peer(
                "eService",
                url,
                token,
                "instant",
                pid=_replica(),
                recorded=lambda: asyncio.run(_recorded(dsn)),
                redis=addresses.redis_url,
            )
        finally:
            cluster.stop()
    stores.destroy()


async def _prepared(dsn: str, tokens: AccessTokens) -> str:
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=10)
    async with db.transaction(pool) as conn:
        user = await auth.ensure_user(conn, "bench@example.com", "Bench", "agent")
    await pool.close()
    return tokens.issue(Identity(user, "bench@example.com", "Bench", "agent"))


async def _recorded(dsn: str) -> int:
    await asyncio.sleep(1.5)  # the last batch
    conn = await asyncpg.connect(dsn)
    count: int = await conn.fetchval("SELECT count(*) FROM llm_calls")
    await conn.close()
    return count


def _wait_running(cluster: Cluster, url: str) -> None:
    end = time.monotonic() + UP_S
    while time.monotonic() < end:
        application = cluster.application(APP)
        if application.get("status") == "DEPLOY_FAILED":
            raise SystemExit(f"the application did not start: {application}")
        if application.get("status") == "RUNNING":
            return _wait(f"{url}/healthz", Path("none"))
        time.sleep(0.5)
    raise SystemExit("the application was not up in time")


def _replica() -> int | None:
    """The gateway's process."""
    for process in psutil.process_iter(["cmdline"]):
        if any("Gateway" in part for part in process.info["cmdline"] or ()):
            return process.pid
    return None


HOOKS = Path(__file__).with_name("litellm_hooks.py")


@contextmanager
def litellm(folder: Path, llm: Peer, venv: Path, redis: str | None) -> Iterator[Peer]:
    """The newest LiteLLM proxy that pip finds, in an environment of its own, which is kept.

    With `redis` it does our work (`litellm_hooks`), without only its own key is checked.
    """
    if not (venv / "bin" / "litellm").exists():
        print(f"installing {PACKAGE} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", PACKAGE], check=True)
    own = folder / ("litellm" if redis else "litellm-bare")
    own.mkdir()
    shutil.copy(HOOKS, own)
    (own / "config.yaml").write_text(json.dumps(_litellm_config(llm, redis)))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [venv / "bin" / "litellm", "--config", own / "config.yaml", "--host", "127.0.0.1"]
    environ = {
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "PYTHONPATH": "",
        "DATABASE_URL": None,  # eService's, which it would take for its own
        "REDIS_URL": None,
    }
    options = ["--port", str(port), "--num_workers", "1"]
    ready = f"{url}/health/liveliness"
    with _process([*map(str, command), *options], own / "log", ready, environ):
        pip = subprocess.run([venv / "bin" / "pip", "show", "litellm"], capture_output=True, text=True)
        version = next(line for line in pip.stdout.splitlines() if line.startswith("Version"))
        yield Peer(
            "LiteLLM" if redis else "LiteLLM, bare",
            url,
            KEY,
            "instant",
            version=version,
            recorded=lambda: len((own / "usage.jsonl").read_bytes().splitlines()),
        )


def _litellm_config(llm: Peer, redis: str | None) -> dict[str, Any]:
    served = {"model": "openai/instant", "api_base": f"{llm.url}/v1", "api_key": llm.key}
    general: dict[str, Any] = {"master_key": KEY}
    settings: dict[str, Any] = {"num_retries": 0}
    if redis:
        general["custom_auth"] = f"{HOOKS.stem}.authenticate"
        settings["callbacks"] = [f"{HOOKS.stem}.records"]
        # for the limits' counters: no call is answered from it
        settings["cache"] = True
        settings["cache_params"] = {"type": "redis", "url": redis, "supported_call_types": []}
    return {
        "model_list": [{"model_name": "instant", "litellm_params": served}],
        "general_settings": general,
        "litellm_settings": settings,
    }
