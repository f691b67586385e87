"""File locks that vanish with the process that holds them, `kill -9` included."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.02


class Busy(TimeoutError):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, *, timeout_s: float) -> Iterator[int]:
    """Hold the lock on `path` alone. A child that inherits the descriptor goes on holding it."""
    with _opened(path) as descriptor:
        _acquire(descriptor, path, timeout_s)
        yield descriptor


def is_held(path: Path) -> bool:
    """Whether some process holds `path` alone."""
    if not path.exists():
        return False
    with _opened(path) as descriptor:
        return not _try(descriptor, fcntl.LOCK_SH)


class Share:
    """One of many holders of a file: the last one to leave can tell that it is the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def hold(self) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _try(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Stop sharing; whether nobody else shares it. Without effect where it was not held."""
        if self._descriptor is None:
            return False
        alone = _try(self._descriptor, fcntl.LOCK_EX)
        os.close(self._descriptor)
        self._descriptor = None
        return alone


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > end:
            raise Busy(f"{path} is held by another process for more than {timeout_s:.0f} s")
        time.sleep(POLL_S)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
