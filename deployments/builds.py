"""Builds an index version in a process of its own, a stretch at a time: Ray Data stays out of the Worker."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys

import ray

from config.environment import CHECKOUT
from monitoring import tracing

STRETCH_S = 200.0
"""Less than a job may take (`jobs.timeout_s`); start-up costs about ten seconds of it."""
GRACE_S = 60.0
UNFINISHED = 3
"""What `pipelines.build` ends with where its time was over."""


class BuildFailed(RuntimeError):
    """The build ended with an error; the last lines of what it said follow."""


async def build(name: str) -> bool:
    """Work on the index version `name`; whether it came to its end. It goes on where the last one stopped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipelines.build", name, "--for", str(STRETCH_S)),
        cwd=CHECKOUT,
        env={**os.environ, **tracing.environ(), "RAY_ADDRESS": ray.get_runtime_context().gcs_address},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=_end_with_parent,
    )
    try:
        async with asyncio.timeout(STRETCH_S + GRACE_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode not in {0, UNFINISHED}:
        raise BuildFailed(said.decode(errors="replace")[-800:].strip())
    return process.returncode == 0


def _end_with_parent() -> None:
    """A worker that is killed takes its build along: two of them would wait for each other's lock."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
