"""One answer from the first provider that gives it: deadlines, slots, retries and fallback.

Runs in the caller's process. A provider that fails before its first text is asked again or followed by the
next one, unseen. One that fails later has already been read: a provider that can continue a prefix goes on
from there; else, with `may_restart`, the next one begins again after a chunk marked `restart`; else the
answer ends in `NoProviderLeft`. Nothing is ever said twice unmarked, and nothing waits for ever.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from models.llm import continuation, estimates
from models.llm.breaker import Breaker
from models.llm.errors import FATAL, REFUSALS, NoProviderLeft, ProviderError, Reason
from models.llm.masking import Mask
from models.llm.observation import observed
from models.llm.protocol import Attempt, ChatProvider, ChatRequest, Chunk, ProviderStatus, Usage
from models.llm.retries import Retries
from models.llm.slots import Slots
from models.prompts.tokens import EstimatedCounter, TokenCounter


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
    continues: bool = False
    """Whether it goes on from where a last message of the assistant ends (`models.llm.continuation`)."""
    masks: bool = False
    """Whether personal data is kept from it (`models.llm.masking`)."""
    counter: TokenCounter = field(default_factory=EstimatedCounter)
    """Counts for it where it does not say what an answer took."""
    retries: Retries = field(default_factory=Retries)
    breaker: Breaker = field(default_factory=Breaker)

    def status(self, up: bool) -> ProviderStatus:
        calls, failures = self.breaker.recent
        return ProviderStatus(up, self.breaker.state, calls, failures, self.slots.in_use, self.slots.waiting)


class ChainCall:
    """An answer under way; `attempts`, `usage` and `cost_usd` grow while it is read."""

    def __init__(
        self, links: Sequence[Link], request: ChatRequest, deadlines: Deadlines, *, may_restart: bool
    ) -> None:
        self.attempts: list[Attempt] = []
        self.usage = Usage()
        self.cost_usd = 0.0
        self.estimated = False
        self._links = links
        self._request = request
        self._deadlines = deadlines
        self._may_restart = may_restart
        self._forget()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._stream()

    async def _stream(self) -> AsyncIterator[Chunk]:
        end = time.monotonic() + self._deadlines.total
        failure: ProviderError | None = None
        for link in self._links:
            if self._shown and not self._can_go_on(link, failure):
                if not self._may_restart:
                    continue  # a later one may be able to
                yield Chunk(restart=True)
                self._forget()
            try:
                async with aclosing(cast(Any, self._tries(link, end))) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except ProviderError as error:
                failure = error if failure is None or failure.reason not in REFUSALS else failure
                if error.reason in FATAL or time.monotonic() >= end:
                    break
        failure = failure or ProviderError("connect", "no provider is configured")
        raise NoProviderLeft(self.attempts, failure, after_text=self._shown) from failure

    async def _tries(self, link: Link, end: float) -> AsyncIterator[Chunk]:
        """The first try and its retries; what somebody has read is not tried again, only gone on with."""
        for tried in count():
            try:
                attempt = observed(link.provider.name, link.model, self.attempts, self._attempt(link, end))
                async with aclosing(cast(Any, attempt)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except ProviderError as error:
                wait = link.retries.wait(error, tried, end - time.monotonic())
                if wait is None or (self._shown and not self._can_go_on(link, error)):
                    raise
            await asyncio.sleep(wait)

    async def _attempt(self, link: Link, end: float) -> AsyncIterator[Chunk]:
        attempt = Attempt(link.provider.name, link.model)
        self.attempts.append(attempt)
        started, before = time.monotonic(), len(self._said)
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(link.breaker.call())
                wait = min(self._deadlines.first_token, end - started)
                await stack.enter_async_context(link.slots.one(wait))
                async for chunk in self._answer(stack, link, attempt, end):
                    if attempt.first_token_ms is None and chunk.text:
                        attempt.first_token_ms = _ms_since(started)
                    self._note(chunk)
                    self._bill(link, attempt, chunk.usage)
                    if chunk.finish_reason == "content_filter" and (self._may_restart or not self._shown):
                        raise ProviderError("content_filter", "the provider's filter stopped the answer")
                    yield chunk
            attempt.outcome = "answered"
        except ProviderError as error:
            attempt.outcome, attempt.error = error.reason, error.kept
            raise
        except (asyncio.CancelledError, GeneratorExit):
            attempt.outcome = "abandoned"
            raise
        finally:
            attempt.total_ms = _ms_since(started)
            if len(self._said) > before and not attempt.usage.completion_tokens:
                attempt.estimated = True
                self._bill(link, attempt, estimates.usage(self._request, self._said[before:], link.counter))

    def _answer(
        self, stack: AsyncExitStack, link: Link, attempt: Attempt, end: float
    ) -> AsyncIterator[Chunk]:
        """The provider's stream, closed with `stack`; it goes on from what was said, if anything was."""
        said, request = self._said, self._request
        if said:
            request = continuation.of(request, said, self._pieces)
        mask = Mask() if link.masks else None
        if mask:
            request = mask.request(request)
            attempt.masked = mask.size
        stream = link.provider.stream(request)
        stack.push_async_callback(cast(Any, stream).aclose)
        answer = self._timed(stream, end)
        answer = mask.restored(answer) if mask else answer
        return continuation.trimmed(said, answer) if said else answer

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
            if continuation.says_something(chunk) or chunk.finish_reason:
                limit, reason = self._deadlines.token_gap, "stalled"

    def _can_go_on(self, link: Link, failure: ProviderError | None) -> bool:
        """Not after a filter's stop: what is filtered is not to be gone on with elsewhere."""
        filtered = failure is not None and failure.reason == "content_filter"
        return link.continues and self._plain and not filtered and continuation.possible(self._request)

    def _forget(self) -> None:
        self._said = ""
        self._pieces = 0
        self._shown = False
        self._plain = True

    def _note(self, chunk: Chunk) -> None:
        if continuation.says_something(chunk):
            self._said += chunk.text
            self._pieces += 1
            self._shown = True
            self._plain = self._plain and bool(chunk.text)

    def _bill(self, link: Link, attempt: Attempt, usage: Usage | None) -> None:
        """Usage is what the attempt came to so far: a provider may send it more than once."""
        if usage is None:
            return
        attempt.usage = usage
        attempt.cost_usd = (
            usage.prompt_tokens * link.prompt_price + usage.completion_tokens * link.completion_price
        ) / 1_000_000
        self.usage = Usage(
            sum(each.usage.prompt_tokens for each in self.attempts),
            sum(each.usage.completion_tokens for each in self.attempts),
        )
        self.cost_usd = sum(each.cost_usd for each in self.attempts)
        self.estimated = any(each.estimated for each in self.attempts)


def _ms_since(started: float) -> float:
    return round(1000 * (time.monotonic() - started), 1)
