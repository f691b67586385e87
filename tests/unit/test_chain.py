"""The LLM chain against providers that answer, fail, stall and die at every token."""

import asyncio
import time

import pytest

from models.llm.catalogue import Catalogue
from models.llm.chain import ChainCall, Deadlines, Link
from models.llm.errors import NoProviderLeft, ProviderError, UnknownModel
from models.llm.protocol import Usage
from models.llm.slots import Slots
from tests.unit.scripted import DEADLINES, WORDS, Scripted, link


def call(*providers: Scripted, may_restart: bool = False) -> ChainCall:
    return ChainCall([link(p) for p in providers], {}, DEADLINES, may_restart=may_restart)


async def heard(answer: ChainCall) -> tuple[str, int]:
    """The text as a reader who obeys `restart` ends up with it, and how often it restarted."""
    text, restarts = "", 0
    async for chunk in answer:
        if chunk.restart:
            text, restarts = "", restarts + 1
        text += chunk.text
    return text, restarts


async def test_first_provider_answers() -> None:
    answer = call(Scripted("a"), Scripted("b"))
    assert await heard(answer) == ("".join(WORDS), 0)
    assert [a.outcome for a in answer.attempts] == ["answered"]
    assert answer.usage == Usage(10, 4)


@pytest.mark.parametrize("then", ["die", "stall"])
@pytest.mark.parametrize("at", range(len(WORDS)))
async def test_failure_at_every_token_restarts_once(at: int, then: str) -> None:
    answer = call(Scripted("a", at=at, then=then), Scripted("b"), may_restart=True)
    started = time.monotonic()
    assert await heard(answer) == ("".join(WORDS), 1 if at else 0)
    assert time.monotonic() - started < DEADLINES.total
    assert [a.provider for a in answer.attempts] == ["a", "b"]


@pytest.mark.parametrize("then", ["die", "stall"])
@pytest.mark.parametrize("at", range(1, len(WORDS)))
async def test_without_restart_a_begun_answer_ends_in_an_error(at: int, then: str) -> None:
    second = Scripted("b")
    answer = call(Scripted("a", at=at, then=then), second)
    said: list[str] = []
    with pytest.raises(NoProviderLeft) as failure:
        await _listen(answer, said)
    assert "".join(said) == "".join(WORDS[:at])
    assert failure.value.after_text
    assert not second.requests


async def _listen(answer: ChainCall, said: list[str]) -> None:
    async for chunk in answer:
        said.append(chunk.text)  # noqa: PERF401 - what was said before the failure counts


async def test_before_the_first_token_the_fallback_is_unseen() -> None:
    assert await heard(call(Scripted("a", at=0), Scripted("b"))) == ("".join(WORDS), 0)


async def test_a_refused_request_is_not_offered_to_the_next_provider() -> None:
    second = Scripted("b")
    with pytest.raises(NoProviderLeft) as failure:
        await heard(call(Scripted("a", at=0, then="reject"), second))
    assert failure.value.last.reason == "rejected"
    assert not second.requests


async def test_every_provider_down() -> None:
    with pytest.raises(NoProviderLeft) as failure:
        await heard(call(Scripted("a", at=0), Scripted("b", at=0)))
    assert [a.outcome for a in failure.value.attempts] == ["broken", "broken"]


async def test_a_stalled_provider_is_cancelled() -> None:
    first = Scripted("a", at=0, then="stall")
    await heard(call(first, Scripted("b")))
    assert first.cancelled == 1


async def test_leaving_cancels_the_provider_and_frees_its_slot() -> None:
    provider = Scripted("a", at=2, then="stall")
    one = Link(provider, "a", Slots(1, 0))
    reading = asyncio.create_task(heard(ChainCall([one], {}, Deadlines(5, 5, 5), may_restart=False)))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert provider.cancelled == 1
    async with one.slots.one(0.1):
        pass


async def test_slots_bound_the_queue() -> None:
    slots = Slots(1, 1)
    async with slots.one(0.1):
        waiting = asyncio.create_task(_take(slots))
        await asyncio.sleep(0)
        with pytest.raises(ProviderError, match="too many callers"):
            await _take(slots)
        with pytest.raises(ProviderError, match="no slot became free"):
            await waiting
    await _take(slots)


async def _take(slots: Slots) -> None:
    async with slots.one(0.05):
        pass


async def test_cost_comes_from_the_provider_that_answered() -> None:
    links = [link(Scripted("a", at=0)), link(Scripted("b"), prompt_price=1.0, completion_price=10.0)]
    answer = ChainCall(links, {}, DEADLINES, may_restart=False)
    await heard(answer)
    assert answer.cost_usd == pytest.approx((10 * 1.0 + 4 * 10.0) / 1e6)


async def test_catalogue_puts_the_model_asked_for_first() -> None:
    catalogue = Catalogue([link(Scripted("a")), link(Scripted("b"))], DEADLINES)
    answer = catalogue.start({"model": "b"})
    await heard(answer)
    assert [a.provider for a in answer.attempts] == ["b"]
    with pytest.raises(UnknownModel, match="there are: a, b"):
        catalogue.start({"model": "c"})
