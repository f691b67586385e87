"""How many answers one replica takes from one provider at a time, and how many callers may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models.llm.errors import ProviderError


class Slots:
    def __init__(self, open_at_once: int, waiting_at_most: int) -> None:
        self._free = asyncio.Semaphore(open_at_once)
        self._room = waiting_at_most
        self.in_use = 0
        self.waiting = 0

    @asynccontextmanager
    async def one(self, timeout_s: float) -> AsyncIterator[None]:
        """Hold a slot; `ProviderError("busy")` when the queue is full or a slot takes over `timeout_s`."""
        if self._free.locked() and self.waiting >= self._room:
            raise ProviderError("busy", "too many callers wait for this provider")
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):  # wait_for of 3.11 can swallow a cancellation
                await self._free.acquire()
        except TimeoutError as error:
            raise ProviderError("busy", "no slot became free in time") from error
        finally:
            self.waiting -= 1
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1
            self._free.release()
