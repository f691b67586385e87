"""A chat provider that says what a test wants, and fails where a test wants."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from models.llm.catalogue import Catalogue
from models.llm.chain import Deadlines, Link
from models.llm.errors import ProviderError, Reason
from models.llm.protocol import ChatRequest, Chunk, Usage
from models.llm.slots import Slots

WORDS = ["one ", "two ", "three ", "four"]
DEADLINES = Deadlines(first_token=0.15, token_gap=0.1, total=1.0)


class Scripted:
    """Says `words`; before word number `at` it does what `then` says: die, stall, or fail."""

    def __init__(
        self, name: str, *, at: int | None = None, then: str = "die", words: list[str] | None = None
    ) -> None:
        self.name = name
        self.at = at
        self.then = then
        self.words = WORDS if words is None else words
        self.cancelled = 0
        self.requests: list[ChatRequest] = []

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        try:
            for number, word in enumerate([*self.words, ""]):
                if number == self.at:
                    await self._act()
                if word:
                    yield Chunk(text=word, raw={"choices": [{"delta": {"content": word}}]})
            stop = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
            yield Chunk(raw=stop, finish_reason="stop", usage=Usage(10, len(self.words)))
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    async def _act(self) -> None:
        if self.then == "stall":
            await asyncio.sleep(30)
        reason = {"reject": "rejected", "die": "broken"}.get(self.then, self.then)
        raise ProviderError(cast(Reason, reason), "scripted")

    async def is_up(self) -> bool:
        return True

    async def close(self) -> None:
        pass


def link(provider: Scripted, **prices: Any) -> Link:
    return Link(provider, provider.name, Slots(2, 1), **prices)


def catalogue(*providers: Scripted) -> Catalogue:
    return Catalogue([link(provider) for provider in providers], DEADLINES)
