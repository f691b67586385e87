"""Takes jobs, runs their handlers, and ends each in the transaction of its effect.

It polls and holds no connection while a handler works, so that a pgbouncer in transaction mode and restarts
of PostgreSQL are all the same to it. What comes round (`schedules`) is queued by whichever runner first sees
it due. What it does not do: start a second process.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import structlog

from app import attribution, db
from app.attribution import Attribution
from app.jobs import observation, repository
from app.jobs.schemas import EVERYTHING, Handler, Job, Lane
from config.profile import JobSettings
from monitoring.failures import told

log = structlog.get_logger(__name__)

TROUBLE = (db.DatabaseDown, asyncpg.PostgresError)
"""What may go wrong with the runner's own statements; it logs that and goes on."""


class LeaseLost(RuntimeError):
    """The job's lease has gone to another runner, or the job is done: nothing was written."""


class UnknownKind(LookupError):
    """No handler is registered for this kind of job."""


class Runner:
    """Runs up to `settings.concurrency` jobs at a time."""

    def __init__(
        self,
        pool: db.Pool,
        handlers: Mapping[str, Handler],
        settings: JobSettings,
        lane: Lane = EVERYTHING,
    ) -> None:
        self._pool = pool
        self._handlers = handlers
        self._settings = settings
        self._lane = lane
        self._running: dict[asyncio.Task[None], Job] = {}

    @property
    def running(self) -> int:
        return len(self._running)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end what runs within `drain_s` and give the rest back."""
        stopping = asyncio.create_task(stop.wait())
        keeping = asyncio.create_task(self._keep_leases())
        try:
            while not stop.is_set():
                await self._start_due()
                await asyncio.wait(
                    (stopping, *self._running),
                    timeout=self._settings.poll_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            await self._drain()
            for task in (stopping, keeping):
                task.cancel()

    async def _start_due(self) -> None:
        free = self._settings.concurrency - len(self._running)
        if free <= 0:
            return
        try:
            async with db.transaction(self._pool) as conn:
                await repository.add_scheduled(conn, list(self._handlers))
                await repository.reclaim(conn, max_attempts=self._settings.max_attempts)
                jobs = await repository.take(
                    conn, limit=free, lease_s=self._settings.lease_s, lane=self._lane
                )
        except TROUBLE as error:
            log.warning("no jobs can be taken, they wait", exc_info=error)
            await asyncio.sleep(self._settings.poll_s)
            return
        for job in jobs:
            task = asyncio.create_task(self._work(job), name=f"job {job.kind} {job.id}")
            self._running[task] = job
            task.add_done_callback(self._running.pop)

    async def _work(self, job: Job) -> None:
        try:
            doing = Attribution(f"system:{job.kind}", cause=f"job:{job.id}")
            with observation.run(job), attribution.acting(doing):
                async with asyncio.timeout(self._settings.timeout_s):
                    await self._handle(job)
        except LeaseLost:
            log.warning("job ran elsewhere meanwhile, nothing written", kind=job.kind, job=str(job.id))
        except Exception as error:  # whatever a handler raises is that job's failure, not the runner's
            log.warning("job failed", kind=job.kind, job=str(job.id), attempt=job.attempts, exc_info=error)
            await self._record_failure(job, error)

    async def _handle(self, job: Job) -> None:
        handler = self._handlers.get(job.kind)
        if handler is None:
            raise UnknownKind(
                f"no handler for kind {job.kind!r}; there are: {', '.join(sorted(self._handlers))}"
            )
        effect = OnceEffect(self._pool, job)
        await handler(job, effect)
        if not effect.opened:
            async with effect():
                pass

    async def _record_failure(self, job: Job, error: Exception) -> None:
        """Fenced like the effect: a job that was committed although its answer got lost stays done."""
        message = told(error).replace("\x00", "")[:2000]
        try:
            async with db.transaction(self._pool) as conn:
                if job.attempts >= self._settings.max_attempts:
                    await repository.bury(conn, job, message)
                else:
                    await repository.retry(
                        conn, job, message, delay_s=backoff_s(job.attempts, self._settings)
                    )
        except TROUBLE:
            log.warning("failure not recorded, the lease will run out", job=str(job.id))

    async def _keep_leases(self) -> None:
        """Renew at a third of the lease, so that two renewals may fail before a job is taken away."""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            if tokens := self._tokens():
                try:
                    async with db.transaction(self._pool) as conn:
                        await repository.renew(conn, tokens, lease_s=self._settings.lease_s)
                except TROUBLE:
                    log.warning("leases not renewed", jobs=len(tokens))

    async def _drain(self) -> None:
        if not self._running:
            return
        await asyncio.wait(list(self._running), timeout=self._settings.drain_s)
        tokens, left = self._tokens(), list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if tokens:
            try:
                async with db.transaction(self._pool) as conn:
                    await repository.release(conn, tokens)
            except TROUBLE:
                log.warning("leases not given back, they will run out", jobs=len(tokens))

    def _tokens(self) -> list[UUID]:
        return [job.lease_token for job in self._running.values() if job.lease_token]


class OnceEffect:
    """The fence: the completion is written first, and only by the holder of the lease."""

    def __init__(self, pool: db.Pool, job: Job) -> None:
        self._pool = pool
        self._job = job
        self.opened = False

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[db.Connection]:
        self.opened = True
        async with db.transaction(self._pool) as conn:
            if not await repository.finish(conn, self._job):
                raise LeaseLost(f"the lease of job {self._job.id} has gone to another runner")
            yield conn


def backoff_s(attempts: int, settings: JobSettings) -> float:
    """Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""
    return random.uniform(0, min(settings.backoff_max_s, settings.backoff_base_s * 2 ** (attempts - 1)))
