"""Takes up the newest lineup in PostgreSQL on this replica, about a second after it was written.

It asks rather than listens: LISTEN does not pass a pgbouncer in transaction mode, and one indexed row a
second is nothing. While PostgreSQL is away, what was taken up last goes on.
"""

import asyncio
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from app import db
from app.providers import repository
from config.lineup import Lineup
from monitoring.failures import told

log = structlog.get_logger(__name__)

EVERY_S = 1.0


class Watch:
    """`take_up` gets a lineup and its version."""

    def __init__(self, pool: db.Pool, take_up: Callable[[Lineup, int], None]) -> None:
        self._pool = pool
        self._take_up = take_up
        self._seen = 0

    async def look(self) -> None:
        """Once; what cannot be read (a newer release wrote it) is logged once and passed over."""
        async with db.transaction(self._pool) as conn:
            found = await repository.newest(conn, than=self._seen)
        if found is None:
            return
        self._seen, lineup = found
        try:
            self._take_up(Lineup.model_validate(lineup), self._seen)
        except ValidationError as error:
            log.error("the newest lineup of providers cannot be read", version=self._seen, problem=str(error))

    async def run(self, every_s: float = EVERY_S) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it was, the next look may go well
                log.warning("cannot look for a new lineup", problem=told(error))
            await asyncio.sleep(every_s)
