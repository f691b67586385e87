"""Reads a file in a process of its own, which may die, hang or eat memory without anybody else noticing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from models.loading.documents import Document, Problem
from models.loading.limits import Limits

ROOT = Path(__file__).parents[2]
GRACE_S = 10.0
"""For Python and the parsers to start; a busy machine takes seconds."""


def read(path: Path, slug: str, limits: Limits) -> Iterator[Document | Problem]:
    """As `files.read`, with a problem in place of what made the process fail."""
    if (size := path.stat().st_size) > limits.size:
        yield Problem(str(path), f"has {size:,} bytes; {limits.size:,} are taken at most")
        return
    with tempfile.TemporaryFile("w+b") as output, tempfile.TemporaryDirectory(prefix="es-load-") as folder:
        reason = _run(path, slug, limits, output, folder)
        output.seek(0)
        for line in output:
            if not line.endswith(b"\n"):
                break
            yield _found(json.loads(line))
        if reason:
            yield Problem(str(path), reason)


def _run(path: Path, slug: str, limits: Limits, output: IO[bytes], folder: str) -> str:
    """What went wrong, or nothing. The process gets no secret of ours: its environment is empty."""
    child = subprocess.Popen(
        [sys.executable, "-m", "models.loading.child", str(path.resolve()), slug, json.dumps(asdict(limits))],
        cwd=ROOT,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": folder,
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = child.wait(limits.seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        return _too_slow(limits)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    match status:
        case 0:
            return ""
        case _ if -status in {signal.SIGXCPU, signal.SIGALRM}:
            return _too_slow(limits)
        case _ if -status == signal.SIGXFSZ:
            return f"unpacks to more than {limits.unpacked:,} bytes"
        case _ if status < 0:
            return f"the parser died of it ({signal.Signals(-status).name})"
    return "the parser failed on it"


def _too_slow(limits: Limits) -> str:
    return f"took more than {limits.seconds:.0f} s to read"


def _found(row: dict[str, Any]) -> Document | Problem:
    if "reason" in row:
        return Problem(**row)
    lists = {name: tuple(row[name]) for name in ("products", "topics", "teams")}
    return Document(**{**row, **lists})
