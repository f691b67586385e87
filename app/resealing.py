"""The job that keeps everything sealed, and every data key under the key-encryption key of now.

After a migration or a rotation there is much to do, else a look at a dozen empty indexes a minute.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import structlog

from app import db
from app.auth import resealing as auth
from app.cases.sealed import CASES
from app.chat.sealed import CONVERSATIONS, FEEDBACK, MESSAGES
from app.jobs.schemas import Effect, Handler, Job
from app.llm.sealed import ANSWERS
from app.tickets import resealing as tickets
from app.vault import rotation

log = structlog.get_logger(__name__)

KEEP_SEALED = "keep_sealed"
"""A row of `schedules` says how often."""

BATCH = 200
PAUSE_S = 0.02
"""Between batches: the desk's own statements come first."""

LASTS_S = 200.0
"""Less than a job may take; what is left is next minute's."""

OTHERS = (CONVERSATIONS, MESSAGES, FEEDBACK, ANSWERS, CASES)
TABLES = (*auth.TABLES, *tickets.TABLES, *OTHERS)
Step: TypeAlias = Callable[[db.Connection, int], Awaitable[int]]


async def _others(conn: db.Connection, limit: int) -> int:
    return sum([len(await rotation.reseal(conn, table, limit)) for table in OTHERS])


STEPS: tuple[Step, ...] = (rotation.rewrap, auth.reseal, tickets.reseal, _others)


def handlers(pool: db.Pool) -> Mapping[str, Handler]:
    async def keep_sealed(job: Job, effect: Effect) -> None:
        done = await keep(pool, lasts_s=LASTS_S)
        if done:
            log.info("sealed anew", rows=done)

    return {KEEP_SEALED: keep_sealed}


async def keep(pool: db.Pool, *, lasts_s: float) -> int:
    """Batch by batch, each in a transaction of its own, until nothing is left; how many rows it were."""
    end, done = time.monotonic() + lasts_s, 0
    for step in STEPS:
        while time.monotonic() < end:
            async with db.transaction(pool) as conn:
                count = await step(conn, BATCH)
            if not count:
                break
            done += count
            await asyncio.sleep(PAUSE_S)
    return done


async def standing(conn: db.Connection) -> rotation.Standing:
    return await rotation.standing(conn, TABLES)
