"""Any chain of providers that fail anywhere, for any reason: nothing is repeated, lost or left behind."""

from collections.abc import AsyncIterator
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from models.llm.breaker import Breaker, Tolerance
from models.llm.chain import ChainCall, Link
from models.llm.errors import NoProviderLeft
from models.llm.protocol import ChatRequest, Chunk, Usage
from models.llm.retries import Retries
from models.llm.slots import Slots
from tests.unit.scripted import DEADLINES, WORDS, Scripted

ANSWER = "".join(WORDS)


class Flaky(Scripted):
    """Fails before word `at` of the whole answer, the first `times` it is asked; may go on from a prefix."""

    def __init__(self, name: str, at: int | None, then: str, times: int, echoes: bool) -> None:
        super().__init__(name, at=at, then=then)
        self.times = times
        self.echoes = echoes

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        said = request["messages"][-1]["content"] if request.get("continue_final_message") else ""
        begun = next(n for n in range(len(WORDS) + 1) if "".join(WORDS[:n]) == said)
        whole = Scripted(self.name, words=WORDS if self.echoes else WORDS[begun:])
        if self.at is not None and len(self.requests) < self.times:
            whole.at, whole.then = max(0, self.at - (0 if self.echoes else begun)), self.then
        self.requests.append(request)
        async for chunk in whole.stream(request):
            yield chunk


flaky = st.builds(
    Flaky,
    st.sampled_from("abc"),
    st.none() | st.integers(0, len(WORDS)),
    st.sampled_from(["die", "reject", "connect", "rate_limited", "context_length", "content_filter"]),
    st.integers(1, 3),
    st.booleans(),
)


def chained(provider: Flaky, continues: bool) -> Link:
    return Link(
        provider,
        provider.name,
        Slots(1, 0),
        continues=continues,
        retries=Retries(2, base_s=0.0),
        breaker=Breaker(Tolerance(least_calls=2)),
    )


chains = st.lists(st.tuples(flaky, st.booleans()), min_size=1, max_size=4)


@given(chains, st.booleans())
async def test_whatever_fails(providers: list[Any], may_restart: bool) -> None:
    links = [chained(*each) for each in providers]
    call = ChainCall(links, {"messages": []}, DEADLINES, may_restart=may_restart)
    text, restarts, failure = "", 0, None
    try:
        async for chunk in call:
            text = "" if chunk.restart else text + chunk.text
            restarts += chunk.restart
    except NoProviderLeft as error:
        failure = error
    assert ANSWER.startswith(text)
    assert (failure is None) == (text == ANSWER and call.attempts[-1].outcome == "answered")
    assert may_restart or not restarts
    assert failure is None or failure.after_text == bool(text)
    for attempt in call.attempts:  # one that said something and died is estimated
        assert attempt.estimated == (attempt.outcome != "answered" and attempt.usage != Usage())
    assert call.usage.completion_tokens == sum(each.usage.completion_tokens for each in call.attempts)
    assert bool(call.usage.completion_tokens) >= bool(text)
    assert [attempt.outcome for attempt in call.attempts].count("answered") == (failure is None)
    for link in links:
        sent = cast(Flaky, link.provider).requests
        assert link.continues or not any("continue_final_message" in request for request in sent)
        async with link.slots.one(0.01):
            pass
