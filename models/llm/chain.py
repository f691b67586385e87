"""One answer from the first provider that gives it: deadlines, slots and fallback, in the caller's process.

A provider that fails before its first text is followed by the next one, unseen. One that fails later has
already been read: with `may_restart` the next provider begins again after a chunk marked `restart`, without
it the answer ends in `NoProviderLeft`. Nothing is ever said twice unmarked, and nothing waits for ever.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, cast

from models.llm.errors import FATAL, NoProviderLeft, ProviderError, Reason
from models.llm.protocol import Attempt, ChatProvider, ChatRequest, Chunk, Usage
from models.llm.slots import Slots


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds: to the first token, between two, and for the whole answer over all providers."""

    first_token: float
    token_gap: float
    total: float


@dataclass(frozen=True, slots=True)
class Link:
    """A provider in a chain, with its price in USD per million tokens."""

    provider: ChatProvider
    model: str
    slots: Slots
    prompt_price: float = 0.0
    completion_price: float = 0.0


class ChainCall:
    """An answer under way; `attempts`, `usage` and `cost_usd` grow while it is read."""

    def __init__(
        self, links: Sequence[Link], request: ChatRequest, deadlines: Deadlines, *, may_restart: bool
    ) -> None:
        self.attempts: list[Attempt] = []
        self.usage = Usage()
        self.cost_usd = 0.0
        self._links = links
        self._request = request
        self._deadlines = deadlines
        self._may_restart = may_restart
        self._said_something = False

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._stream()

    async def _stream(self) -> AsyncIterator[Chunk]:
        end = time.monotonic() + self._deadlines.total
        for link in self._links:
            try:
                async with aclosing(cast(Any, self._attempt(link, end))) as chunks:
                    if self._said_something:
                        yield Chunk(restart=True)
                        self._said_something = False
                    async for chunk in chunks:
                        yield chunk
                return
            except ProviderError as error:
                last = error
                if error.reason in FATAL or (self._said_something and not self._may_restart):
                    break
        raise NoProviderLeft(self.attempts, last, after_text=self._said_something) from last

    async def _attempt(self, link: Link, end: float) -> AsyncIterator[Chunk]:
        attempt = Attempt(link.provider.name, link.model)
        self.attempts.append(attempt)
        started = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                wait = min(self._deadlines.first_token, end - started)
                await stack.enter_async_context(link.slots.one(wait))
                stream = await stack.enter_async_context(
                    aclosing(cast(Any, link.provider.stream(self._request)))
                )
                async for chunk in self._timed(stream, end):
                    if attempt.first_token_ms is None and chunk.text:
                        attempt.first_token_ms = _ms_since(started)
                    self._said_something = self._said_something or bool(chunk.text)
                    if chunk.usage:
                        self._bill(link, chunk.usage)
                    yield chunk
            attempt.outcome = "answered"
        except ProviderError as error:
            attempt.outcome, attempt.error = error.reason, error.detail
            raise
        except (asyncio.CancelledError, GeneratorExit):
            attempt.outcome = "abandoned"
            raise
        finally:
            attempt.total_ms = _ms_since(started)

    async def _timed(self, stream: AsyncIterator[Chunk], end: float) -> AsyncIterator[Chunk]:
        """`stream`, with a limit on each wait: longer before the first chunk, shorter between two."""
        limit = self._deadlines.first_token
        reason: Reason = "first_token_timeout"
        while True:
            left = end - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(limit, left))):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise ProviderError(
                    "total_timeout" if left <= limit else reason, f"silent for {min(limit, left):.1f} s"
                ) from error
            yield chunk
            if chunk.text or chunk.finish_reason:
                limit, reason = self._deadlines.token_gap, "stalled"

    def _bill(self, link: Link, usage: Usage) -> None:
        self.usage = Usage(
            self.usage.prompt_tokens + usage.prompt_tokens,
            self.usage.completion_tokens + usage.completion_tokens,
        )
        self.cost_usd += (
            usage.prompt_tokens * link.prompt_price + usage.completion_tokens * link.completion_price
        ) / 1_000_000


def _ms_since(started: float) -> float:
    return round(1000 * (time.monotonic() - started), 1)
