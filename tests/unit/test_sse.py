"""OpenAI's streams, well formed and not."""

from collections.abc import AsyncIterator

import pytest

from models.llm import sse
from models.llm.errors import ProviderError

TEXT = 'data: {"choices": [{"delta": {"content": "hello"}, "finish_reason": null}]}'
STOP = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'


async def read(*lines: str) -> str:
    async def source() -> AsyncIterator[str]:
        for line in lines:
            yield line

    return "".join([chunk.text async for chunk in sse.chunks(source())])


async def test_text_comes_through() -> None:
    assert await read(TEXT, "", ": comment", TEXT, STOP, "data: [DONE]") == "hellohello"


async def test_a_stream_may_end_without_done_once_it_has_a_finish_reason() -> None:
    assert await read(TEXT, STOP) == "hello"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("data: {not json", "broken"),
        ("data: []", "broken"),
        ('data: {"error": {"message": "no", "code": 429}}', "rate_limited"),
        ('data: {"error": {"message": "too long", "code": 400}}', "rejected"),
        ('data: {"error": {"message": "oops", "code": 500}}', "broken"),
    ],
)
async def test_rubbish_is_an_error(line: str, reason: str) -> None:
    with pytest.raises(ProviderError) as error:
        await read(TEXT, line)
    assert error.value.reason == reason


async def test_a_cut_stream_is_an_error() -> None:
    with pytest.raises(ProviderError, match="in the middle"):
        await read(TEXT)
