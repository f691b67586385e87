"""Which processes belong to a home, so that nothing of it outlives it.

Ray and HAProxy inherit `ESERVICE_HOME` and `ESERVICE_PART`; those that overwrite their environment when they
rename themselves (Ray's workers and agents) still have their logs open below the cluster's folder.
"""

import contextlib
import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

PART = "ESERVICE_PART"
CLUSTER = "cluster"
PR_SET_PDEATHSIG = 1


def cluster_folder(home: Path) -> Path:
    """Where the home's Ray keeps its files. Short: HAProxy's socket is 71 bytes below it and may have 97."""
    return Path("/tmp") / f"es-{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"  # noqa: S108


def of_cluster(home: Path) -> list[psutil.Process]:
    """The living processes of this home's Ray cluster, this one excepted."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _belongs(process, home):
                found.append(process)
    return found


def _belongs(process: psutil.Process, home: Path) -> bool:
    environ = process.environ()
    if environ.get("ESERVICE_HOME") == str(home) and environ.get(PART) == CLUSTER:
        return True
    folder = f"{cluster_folder(home)}/"
    return any(file.path.startswith(folder) for file in process.open_files())


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


DIE_WITH_PARENT = f"""\
import ctypes, os, sys
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(signal.SIGTERM)})
os.execv(sys.argv[1], sys.argv[1:])
"""


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """`command`, which is sent SIGTERM when this process ends, however it ends (Linux only).

    Not by a `preexec_fn`: that makes `subprocess` fork, which gRPC's threads here may not survive.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, *command]
