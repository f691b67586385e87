"""Which processes belong to a home, so that nothing of it outlives it.

Ray and HAProxy inherit `ESERVICE_HOME` and `ESERVICE_PART`; after a `kill -9` of the service they are found
by them, whatever their names and parents are.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

import psutil

PART = "ESERVICE_PART"
CLUSTER = "cluster"
PR_SET_PDEATHSIG = 1


def of_cluster(home: Path) -> list[psutil.Process]:
    """The living processes of this home's Ray cluster, this one excepted."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environ = process.environ()
            if environ.get("ESERVICE_HOME") == str(home) and environ.get(PART) == CLUSTER:
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def end_cluster(home: Path, *, grace_s: float = 5) -> int:
    """End what is left of this home's cluster: SIGTERM, then SIGKILL; how many processes there were."""
    left = of_cluster(home)
    for sign, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(sign)
        _, left_now = psutil.wait_procs(left, timeout=wait_s)
        if not left_now:
            break
    return len(left)


def die_with_parent() -> None:
    """For a child, before it runs: be sent SIGTERM when the parent ends, however it ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
