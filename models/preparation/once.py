"""Makes a folder once: whole or not at all, by one process at a time, again only when its recipe changes."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

META = "meta.json"

Report = Callable[[str], None]
"""Takes a line of progress."""


def recipe(package: str, revision: int) -> str:
    """What tells a folder made from these weights by this code from an older one."""
    return f"{package}=={version(package)} revision {revision}"


def is_made(target: Path, wanted: str) -> bool:
    try:
        return bool(json.loads((target / META).read_text())["recipe"] == wanted)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return False


def make_once(target: Path, wanted: str, make: Callable[[Path], None], report: Report) -> bool:
    """Let `make` fill a folder, then give it the name `target`; whether there was anything to do."""
    if is_made(target, wanted):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / f".{target.name}.lock", report):
        if is_made(target, wanted):
            return False
        begun = time.monotonic()
        draft = target.parent / f".{target.name}.{os.getpid()}"
        for left_over in target.parent.glob(f".{target.name}.[0-9]*"):
            shutil.rmtree(left_over)
        draft.mkdir()
        try:
            make(draft)
            seconds = round(time.monotonic() - begun, 1)
            (draft / META).write_text(json.dumps({"recipe": wanted, "seconds": seconds}, indent=1))
            _replace(target, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    report(f"{target.name}: ready in {time.monotonic() - begun:.0f} s")
    return True


def _replace(target: Path, draft: Path) -> None:
    """Readers of the old folder keep the files they have open."""
    old = target.parent / f".{target.name}.{os.getpid()}.old"
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """Wait for whoever is at it: a minute or two of work, whose lock ends with its process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is preparing it; waiting")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
