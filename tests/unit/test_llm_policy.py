"""Retries, routes, refusals and continuation, each by itself."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llm import continuation
from models.llm.errors import NoProviderLeft, ProviderError
from models.llm.http import seconds
from models.llm.protocol import Chunk
from models.llm.refusals import refused
from models.llm.retries import Retries
from models.llm.routes import Route
from tests.unit.scripted import Scripted, catalogue, link


@given(
    tried=st.integers(0, 6),
    asked=st.none() | st.floats(0, 10),
    left=st.floats(0, 20),
    reason=st.sampled_from(["connect", "broken", "rate_limited"]),
    drawn=st.floats(0, 1),
)
def test_a_wait_keeps_to_retry_after_and_deadline(
    tried: int, asked: float | None, left: float, reason: Any, drawn: float
) -> None:
    retries = Retries(5, base_s=0.2, ceiling_s=2.0, uniform=lambda low, high: low + drawn * (high - low))
    wait = retries.wait(ProviderError(reason, "", retry_after=asked), tried, left)
    if wait is None:
        assert tried >= 5 or (asked or 0) > 2.0 or left <= (asked or 0) + min(2.0, 0.2 * 2**tried)
    else:
        assert tried < 5
        assert (asked or 0) <= wait < left
        assert wait <= (asked or 0) + min(2.0, 0.2 * 2**tried)


@pytest.mark.parametrize("reason", ["rejected", "context_length", "misconfigured", "stalled", "busy"])
def test_what_will_not_pass_is_not_retried(reason: Any) -> None:
    assert Retries(5).wait(ProviderError(reason, ""), 0, 100) is None


def test_retry_after_in_both_its_forms() -> None:
    assert seconds("1.5") == 1.5
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert seconds(later) == pytest.approx(30, abs=2)
    assert seconds("soon") is None
    assert seconds(None) is None


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ({"message": "x", "code": "context_length_exceeded"}, 400, "context_length"),
        ({"message": "This model's maximum context length is 2048 tokens."}, 400, "context_length"),
        (
            {"message": "prompt is too long: 9 tokens > 8", "type": "invalid_request_error"},
            400,
            "context_length",
        ),
        ({"message": "x", "type": "request_too_large"}, 413, "context_length"),
        ({"message": "x", "code": "content_filter"}, 400, "content_filter"),
        ({"message": "x", "type": "invalid_request_error"}, 400, "rejected"),
        ({"message": "x", "type": "authentication_error"}, 401, "misconfigured"),
        ({"message": "no such deployment"}, 404, "misconfigured"),
        ({"message": "the context window service is down"}, 500, "broken"),
        ({"message": "x", "type": "overloaded_error"}, None, "rate_limited"),
        ({"message": "x", "type": "overloaded_error"}, 529, "rate_limited"),
        ({"message": "x", "type": "api_error"}, None, "broken"),
    ],
)
def test_each_provider_s_words_for_it(error: dict[str, Any], status: int | None, reason: str) -> None:
    assert refused({"error": error}, status).reason == reason


def test_weights_say_how_often_a_provider_is_first() -> None:
    uniform = random.Random(1).random
    links = [link(Scripted(name)) for name in "abc"]
    first: Counter[str] = Counter()
    for _ in range(3000):
        order = Route("r", links, (3.0, 1.0, 0.0)).order(uniform)
        assert len({each.model for each in order}) == 3
        assert order[-1].model == "c"
        first[order[0].model] += 1
    assert first["a"] / 3000 == pytest.approx(0.75, abs=0.03)


async def test_the_next_provider_may_take_what_one_finds_too_long() -> None:
    small, large = Scripted("a", at=0, then="context_length"), Scripted("b")
    call = catalogue(small, large).start({"model": "a"})
    assert "".join([chunk.text async for chunk in call]) == "one two three four"
    with pytest.raises(NoProviderLeft) as failure:
        [_ async for _ in catalogue(small, Scripted("b", at=0)).start({"model": "a"})]
    assert failure.value.last.reason == "context_length", "the caller can do something about that one"


async def trimmed(said: str, *texts: str) -> str:
    async def source() -> AsyncIterator[Chunk]:
        for text in texts:
            yield Chunk(text=text, raw={"choices": [{"delta": {"content": text}}]})
        yield Chunk(raw={"choices": [{"delta": {}, "finish_reason": "stop"}]}, finish_reason="stop")

    out = [chunk async for chunk in continuation.trimmed(said, source())]
    assert out[-1].finish_reason == "stop"
    raw = "".join(c["delta"].get("content") or "" for chunk in out for c in chunk.raw["choices"])
    assert raw == "".join(chunk.text for chunk in out)
    return raw


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(edges)]


places = st.lists(st.integers(0, 100), max_size=8)


@given(st.text("abc ", min_size=1, max_size=40), st.text("abc ", max_size=40), st.integers(0, 40), places)
async def test_a_repeated_tail_is_left_out_however_it_is_cut(
    said: str, rest: str, repeated: int, at: list[int]
) -> None:
    """The overlap left out is the longest, and what is kept is what follows it."""
    whole = said[len(said) - min(repeated, len(said)) :] + rest
    kept = await trimmed(said, *cut(whole, at))
    assert whole.endswith(kept)
    assert kept == whole[continuation.overlap(said, whole) :]


@given(st.text("abc ", min_size=8, max_size=40), st.text("xyz", max_size=40), places)
async def test_what_is_new_is_never_lost(said: str, rest: str, at: list[int]) -> None:
    assert await trimmed(said, *cut(rest, at)) == rest
    assert await trimmed(said, *cut(said + rest, at)) == rest, "one that begins again from the start"


@pytest.mark.parametrize(
    ("request_", "can"),
    [
        ({}, True),
        ({"response_format": {"type": "text"}}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"tools": [{}]}, False),
    ],
)
def test_only_plain_text_is_gone_on_with(request_: dict[str, Any], can: bool) -> None:
    assert continuation.possible(request_) is can
