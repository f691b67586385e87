"""Writes down what callers took, half a second's worth at a time: no answer waits for PostgreSQL.

A replica that is killed loses that half second; one that stops, nothing. While PostgreSQL is away the newest
`MOST` are kept for when it is back.
"""

import asyncio
from collections import deque

import structlog

from app import db
from app.usage import repository
from app.usage.schemas import Use
from monitoring.failures import told

log = structlog.get_logger(__name__)

EVERY_S = 0.5
MOST = 20_000
A_BATCH = 2_000


class Recorder:
    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._waiting: deque[Use] = deque(maxlen=MOST)

    def note(self, use: Use | None) -> None:
        if use is None:
            return
        if len(self._waiting) == MOST:
            log.error("usage is lost: PostgreSQL is away for too long", user_id=str(self._waiting[0].user_id))
        self._waiting.append(use)

    async def flush(self) -> None:
        """Write all that waits; what cannot be written stays, in its order."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(A_BATCH, len(self._waiting)))]
            try:
                async with db.transaction(self._pool) as conn:
                    await repository.add(conn, batch)
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise

    async def run(self, every_s: float = EVERY_S) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.flush()
            except Exception as error:  # whatever it was, they are still there for the next time
                log.warning("cannot write usage down", problem=told(error), waiting=len(self._waiting))
