"""Something that is done again and again until it is told to stop, later and later while it fails."""

import asyncio
from collections.abc import Awaitable, Callable

BACKOFF_MAX_S = 30.0


class Recurring:
    def __init__(
        self,
        turn: Callable[[], Awaitable[bool]],
        *,
        every_s: float,
        timeout_s: float,
        failed: Callable[[Exception, float], None],
    ) -> None:
        """`turn` says whether there may be more to do at once; each may take `timeout_s`.

        `failed` is told what a turn ended with, and in how many seconds the next one comes.
        """
        self._turn = turn
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._failed = failed
        self._failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                wait_s = await self._once()
                await asyncio.wait({stopping}, timeout=wait_s)
        finally:
            stopping.cancel()

    async def _once(self) -> float:
        """One turn; how long to wait until the next."""
        try:
            async with asyncio.timeout(self._timeout_s):
                more = await self._turn()
        except Exception as error:  # whatever it was, what there is to do waits and the next turn tries again
            self._failures += 1
            wait_s: float = min(self._every_s * 2**self._failures, BACKOFF_MAX_S)
            self._failed(error, wait_s)
            return wait_s
        self._failures = 0
        return 0.0 if more else self._every_s
