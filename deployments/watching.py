"""Deployments whose model is a version that PostgreSQL names, and may name another one while they serve."""

import asyncio
import contextlib

import structlog

from app import db

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0


class Watching:
    """Serve calls `check_health` and `__del__`; the constructor ends with `await self.begin(...)`."""

    async def look(self) -> None:
        """Take up what PostgreSQL names; what cannot be used leaves the last one in place."""
        raise NotImplementedError

    async def begin(self, pool: db.Pool, versions: str) -> None:
        """Look once, then every `LOOK_EVERY_S`. `versions` says in log lines whose they are."""
        self.pool = pool
        self.versions = versions
        await self.look()
        self.watch = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as error:  # the next look may succeed
                log.error(f"{self.versions} cannot be read", exc_info=error)

    def check_health(self) -> None:
        if self.watch.done():
            raise RuntimeError(f"the watch on {self.versions} has ended")

    async def __del__(self) -> None:
        self.watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.watch
        await self.pool.close()
