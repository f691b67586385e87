"""What an answer is billed as whose provider does not say; whole words are the tokens here."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from models.llm.chain import ChainCall
from models.llm.errors import NoProviderLeft
from models.llm.protocol import ChatRequest, Chunk, Usage
from tests.unit.scripted import DEADLINES, Scripted, link

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ASKED: ChatRequest = {
    "messages": [
        {"role": "system", "content": "two words"},
        {"role": "user", "content": [{"type": "text", "text": "and three more"}, PICTURE]},
    ]
}
PROMPT = 2 + 3 + 2 * 4
"""Words, and what stands around each message; pictures are not counted."""


class Words:
    def count(self, text: str) -> int:
        return len(text.split())


class Silent(Scripted):
    """Never says what it took."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        async for chunk in super().stream(request):
            yield replace(chunk, usage=None)


def started(*providers: Scripted, may_restart: bool = False) -> ChainCall:
    links = [link(p, counter=Words(), prompt_price=1.0, completion_price=10.0) for p in providers]
    return ChainCall(links, ASKED, DEADLINES, may_restart=may_restart)


async def read(call: ChainCall) -> None:
    async for _ in call:
        pass


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_one_that_dies_is_billed_for_what_it_said(at: int) -> None:
    call = started(Scripted("a", at=at))
    with pytest.raises(NoProviderLeft):
        await read(call)
    assert call.estimated
    assert call.usage == Usage(PROMPT, at)
    assert call.cost_usd == pytest.approx((PROMPT + at * 10.0) / 1e6)


async def test_one_that_dies_before_it_said_anything_costs_nothing() -> None:
    call = started(Scripted("a", at=0), Scripted("b"))
    await read(call)
    assert (call.estimated, call.usage) == (False, Usage(10, 4))
    assert call.attempts[0].cost_usd == 0


async def test_both_parts_of_an_answer_that_began_again_are_billed() -> None:
    call = started(Scripted("a", at=2), Scripted("b"), may_restart=True)
    await read(call)
    assert [(a.usage, a.estimated) for a in call.attempts] == [
        (Usage(PROMPT, 2), True),
        (Usage(10, 4), False),
    ]
    assert call.usage == Usage(PROMPT + 10, 6)


async def test_one_that_never_says_is_estimated_as_a_whole() -> None:
    call = started(Silent("a"))
    await read(call)
    assert (call.estimated, call.usage) == (True, Usage(PROMPT, 4))


async def test_a_reader_who_leaves_has_taken_what_came() -> None:
    call = started(Scripted("a", at=3, then="stall"))
    chunks = call.__aiter__()
    for _ in range(2):
        await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    assert (call.attempts[0].outcome, call.usage, call.estimated) == ("abandoned", Usage(PROMPT, 2), True)
