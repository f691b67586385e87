"""The nightly training: a process of its own beside the worker that its job came to.

The job only starts it: a training takes minutes, a job's lease should not. Whether another one runs already
is settled in PostgreSQL, and what came of it is a row in `triage_versions`.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping

import structlog

from app.jobs.schemas import Effect, Handler, Job
from app.triage.service import RETRAIN
from config.environment import CHECKOUT
from monitoring import tracing

log = structlog.get_logger(__name__)

DEADLINE_S = 3600.0
LAST_WORDS = 500


class Retraining:
    """At most one process; `close` ends it."""

    def __init__(self, profile: str) -> None:
        self._command = ("-m", "pipelines.train", "triage", "--retrain", "--profile", profile)
        self._running: asyncio.Task[None] | None = None

    def handlers(self) -> Mapping[str, Handler]:
        async def start(job: Job, effect: Effect) -> None:
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._run())

        return {RETRAIN: start}

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _run(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._command,
            cwd=CHECKOUT,
            env={**os.environ, **tracing.environ()},
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                _, said = await process.communicate()
        except TimeoutError:
            log.error("the training of triage took too long and was ended", deadline_s=DEADLINE_S)
            return
        finally:
            await _end(process)
        words = " ".join(said.decode(errors="replace").split())[-LAST_WORDS:]
        log.info("training of triage", ended_with=process.returncode, said=words)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
