"""What `make doctor` looks at: each check takes what was observed and says what it means.

Standard library only, so that it also runs where the environment is missing.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

State: TypeAlias = Literal["ok", "note", "problem"]

DISK_GB = 3.0
"""Prepared models 0.5 GB, logs and data of Ray and the stores; the environment is made by then."""

MEMORY_GB = 10.0
"""The whole application with the CPU model; see docs/ARCHITECTURE.md."""

SHARED = "/dev/shm"  # noqa: S108  # looked at, never written to
SHARED_MEMORY_MB = 512
"""Ray's object store (256 MB) and PostgreSQL's parallel queries."""

UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is one line that says what to do; only a problem needs one."""

    name: str
    state: State
    found: str
    advice: str = ""


def python(version: tuple[int, int]) -> Finding:
    found = f"{version[0]}.{version[1]}"
    if version == (3, 11):
        return Finding("Python", "ok", found)
    return Finding(
        "Python", "problem", found, "install Python 3.11, then: make setup PYTHON=/path/to/python3.11"
    )


def locks(exists: bool, in_step: bool) -> Finding:
    if not exists:
        return Finding("environment", "problem", "no .venv", "make setup")
    if not in_step:
        return Finding("environment", "problem", ".venv is not what the lock files say", "make setup")
    return Finding("environment", "ok", ".venv is in step with the lock files")


def forbidden(present: Sequence[str]) -> Finding:
    if not present:
        return Finding("torch", "ok", "no torchvision, torchaudio or torchcodec beside it")
    names = ", ".join(present)
    return Finding(
        "torch", "problem", f"{names} installed", "rm -r .venv, then make setup: nothing needs them"
    )


def disk(path: Path, free_gb: float) -> Finding:
    found = f"{free_gb:.1f} GB free under {path}"
    if free_gb >= DISK_GB:
        return Finding("disk", "ok", found)
    return Finding(
        "disk", "problem", found, f"make {DISK_GB:.0f} GB free, or set ESERVICE_HOME to another disk"
    )


def memory(total_gb: float, available_gb: float) -> Finding:
    found = f"{available_gb:.1f} of {total_gb:.1f} GB free"
    if total_gb < MEMORY_GB:
        return Finding("memory", "problem", found, f"the application with its model needs {MEMORY_GB:.0f} GB")
    if available_gb < MEMORY_GB:
        return Finding("memory", "note", f"{found}; a start needs up to {MEMORY_GB:.0f}")
    return Finding("memory", "ok", found)


def shared_memory(total_mb: float) -> Finding:
    found = f"{SHARED} has {total_mb:.0f} MB"
    if total_mb >= SHARED_MEMORY_MB:
        return Finding("shared memory", "ok", found)
    return Finding("shared memory", "problem", found, "in a container: docker run --shm-size=2g")


def cores(count: int) -> Finding:
    if count >= 2:
        return Finding("cores", "ok", str(count))
    return Finding("cores", "note", f"{count}; answers take more than twice as long as on two")


def service(port: int, port_is_free: bool, pid: str | None, readiness: str | None) -> Finding:
    """`pid` is of this home's service, `readiness` what it says of itself; `None` where there is none."""
    if pid is not None:
        if readiness is None:
            found = f"runs (pid {pid}) and does not answer on port {port} yet"
            return Finding("service", "note", found)
        state: State = "ok" if readiness == "ok" else "note"
        return Finding("service", state, f"runs (pid {pid}) on port {port}: {readiness}")
    if port_is_free:
        return Finding("service", "ok", f"not running; port {port} is free")
    return Finding(
        "service", "problem", f"port {port} is in use by another program", "set ESERVICE_PORT to a free port"
    )


def binary(name: str, path: Path | None) -> Finding:
    if path is None or not path.exists():
        return Finding(name, "problem", "not installed", "make setup")
    if not os.access(path, os.X_OK):
        return Finding(name, "problem", f"{path} is not executable", f"chmod +x {path}")
    command = [str(path), "-v" if name == "HAProxy" else "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "problem", f"{path} does not run: {error}", "is this disk mounted noexec?")
    if said.returncode:
        return Finding(name, "problem", said.stderr.strip()[:200], "rm -r .venv; make setup")
    return Finding(name, "ok", said.stdout.splitlines()[0][:80])


def model(name: str, made: bool) -> Finding:
    if made:
        return Finding(f"model {name}", "ok", "prepared")
    return Finding(f"model {name}", "note", "not prepared yet; make serve does it in about half a minute")


def store(name: str, state: str, port: int | None) -> Finding:
    """An embedded store of this home."""
    if state == "running":
        return Finding(name, "ok", f"runs on port {port}")
    if state == "stopped":
        return Finding(name, "ok", "embedded, not running; make serve starts it")
    what = "runs and does not answer" if state == "hung" else "died"
    return Finding(name, "problem", f"{what}; see logs/{name}.log", "make stop, then make serve")


def external(name: str, variable: str, address: str) -> Finding:
    """A store that the environment names; only that something listens there is looked at."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or {"postgres": 5432, "valkey": 6379}.get(name, 19530)
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        found = f"nothing answers at {host}:{port} ({error})"
        return Finding(
            name, "problem", found, f"start it, correct {variable}, or unset it for the embedded one"
        )
    return Finding(name, "ok", f"{variable} answers at {host}:{port}")


def gpu(seen: str | None) -> Finding:
    return Finding("GPU", "ok", seen) if seen else Finding("GPU", "note", "none seen; the CPU model is used")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_gb(path: Path) -> float:
    """Of the nearest folder that exists."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 1e9


def memory_gb(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[float, float]:
    """Total and available; of the container where it has less than the machine."""
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    of_machine = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    limit, used = (_number(cgroup / f"memory.{name}") for name in ("max", "current"))
    total = min(of_machine["MemTotal"], limit)
    available = min(of_machine["MemAvailable"], limit - used if limit < UNLIMITED else UNLIMITED)
    return total / 1e9, available / 1e9


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no cgroup v2, or the word `max`
        return 0 if file.name.endswith("current") else UNLIMITED


def gpus() -> str | None:
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip().replace("\n", "; ") or None if said.returncode == 0 else None


def as_json(findings: Sequence[Finding]) -> str:
    problems = sum(finding.state == "problem" for finding in findings)
    rows: list[Mapping[str, str]] = [
        {"name": each.name, "state": each.state, "found": each.found, "advice": each.advice}
        for each in findings
    ]
    return json.dumps({"problems": problems, "checks": rows}, indent=1)
