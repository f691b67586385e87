"""A worker in a process of its own that kills itself at a set point of a job; run by `test_killed_workers`.

    python -m tests.integration.killed_worker DATABASE_URL MODEL POINT

Points: `taken`, `thought`, `written` (all of the effect, nothing committed), `committed`, `never`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from app import db
from app.jobs.runner import Runner
from app.jobs.schemas import Effect, Handler, Job
from app.routing.jobs import handlers
from config.profile import JobSettings
from models.triage.learnt import LearntTriager
from models.triage.protocol import Triage
from tests import factories


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(LearntTriager):
    point = "never"

    async def triage(self, subject: str, body: str) -> Triage:
        found = await super().triage(subject, body)
        if self.point == "thought":
            die()
        return found


def mortal(handler: Handler, point: str) -> Handler:
    async def run(job: Job, effect: Effect) -> None:
        if point == "taken":
            die()

        @asynccontextmanager
        async def watched() -> AsyncIterator[db.Connection]:
            async with effect() as conn:
                yield conn
                if point == "written":
                    die()
            if point == "committed":
                die()

        def opened() -> AbstractAsyncContextManager[db.Connection]:
            effect.opened = True  # type: ignore[attr-defined]
            return watched()

        await handler(job, opened)

    return run


async def work(dsn: str, model: str, point: str) -> None:
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=10)
    triager = Mortal.load(model, factories.WordVectors())
    assert isinstance(triager, Mortal)
    triager.point = point
    known: Mapping[str, Handler] = handlers(pool, triager)
    settings = JobSettings(poll_s=0.05, lease_s=1.0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Runner(pool, {kind: mortal(each, point) for kind, each in known.items()}, settings).run(stop)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
