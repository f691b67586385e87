"""What a hosted provider is not to see, and that all of it comes back, however the answer is cut."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llm.masking import Mask
from models.llm.protocol import Chunk
from tests.unit.test_llm_policy import cut, places

VALUES = {
    "EMAIL": ["jane.doe+desk@example.co.uk", "a_b@mail-1.example.com"],
    "PHONE": ["+49 (30) 901820-0", "0049 30 9018200", "+1 415-555-2671", "030 9018 2000", "(415) 555-2671"],
    "CARD": ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
    "SSN": ["078-05-1120"],
    "IP": ["203.0.113.7"],
}
ALL = [(kind, value) for kind, values in VALUES.items() for value in values]
HARMLESS = [
    "Version 1.2.3 of 2026-11-22, order 20261122, error 0x80070005",
    "It failed at 10:32:55 with code 4111111111111112 after 120000 ms",
    "Chapter 3.2.1, page 12-14, see section (3) of RFC 9457",
    "user@localhost and @handle and 100 % of 1,234,567 rows",
]


@pytest.mark.parametrize(("kind", "value"), ALL, ids=[value for _, value in ALL])
def test_found_by_its_form(kind: str, value: str) -> None:
    for text in ("I am at {}.", "({})", "call {}, please", '{{"x": "{}"}}', "{}"):
        assert Mask().hide(text.format(value)) == text.format(f"[{kind}_1]")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert Mask().hide(text) == text


def said(*texts: str, key: str = "content") -> list[Chunk]:
    chunks = [
        Chunk(text=text if key == "content" else "", raw={"choices": [{"index": 0, "delta": {key: text}}]})
        for text in texts
    ]
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*chunks, Chunk(raw=stop, finish_reason="stop"), Chunk(raw={"choices": [], "usage": {}})]


async def heard(mask: Mask, chunks: list[Chunk], key: str = "content") -> str:
    async def source() -> AsyncIterator[Chunk]:
        for chunk in chunks:
            yield chunk

    out = [chunk async for chunk in mask.restored(source())]
    assert [chunk.finish_reason for chunk in out].count("stop") == 1
    assert out[-2].finish_reason == "stop", "nothing comes after it but the usage"
    raw = "".join(c["delta"].get(key) or "" for chunk in out for c in chunk.raw["choices"])
    assert key != "content" or raw == "".join(chunk.text for chunk in out)
    return raw


pieces = st.lists(
    st.sampled_from([value for _, value in ALL])
    | st.text("ab [_]1EMAIL.", max_size=8)
    | st.sampled_from(["[EMAIL_1]", "[EMAIL", "[PHONE_", "[", "[[EMAIL_1]]"]),
    max_size=8,
)


@given(pieces, places)
async def test_nothing_is_seen_and_everything_comes_back(parts: list[str], at: list[int]) -> None:
    """Also where the text itself holds something like a placeholder, and in any pieces."""
    text = " , ".join(parts)
    mask = Mask()
    sent = mask.request({"messages": [{"role": "user", "content": text}]})["messages"][0]["content"]
    assert not [value for _, value in ALL if value in sent]
    assert await heard(mask, said(*cut(sent, at))) == text
    assert await heard(mask, said(*cut(sent, at), key="reasoning_content"), "reasoning_content") == text


@given(places)
async def test_the_arguments_of_a_tool_call_come_back(at: list[int]) -> None:
    mask = Mask()
    sent = mask.hide('{"to": "jane.doe@example.com", "cc": "joe@example.com"}')

    def part(index: int, text: str) -> Chunk:
        call = {"index": index, "function": {"arguments": text}}
        return Chunk(raw={"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})

    async def source() -> AsyncIterator[Chunk]:
        for text in cut(sent, at):
            yield part(0, text)
            yield part(1, text)
        yield said()[0]

    calls: dict[int, str] = {0: "", 1: ""}
    async for chunk in mask.restored(source()):
        for call in chunk.raw["choices"][0]["delta"].get("tool_calls") or ():
            calls[call["index"]] += call["function"]["arguments"]
    assert set(calls.values()) == {'{"to": "jane.doe@example.com", "cc": "joe@example.com"}'}


def test_one_value_has_one_placeholder_in_all_messages() -> None:
    request: dict[str, Any] = {
        "model": "m",
        "user": "jane@example.com",
        "messages": [
            {"role": "system", "content": "Passages: mail support@example.com"},
            {"role": "user", "content": [{"type": "text", "text": "I am jane@example.com"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "function": {"name": "find", "arguments": '"jane@example.com"'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "jane@example.com, +49 30 9018200"},
        ],
    }
    mask = Mask()
    masked = mask.request(request)
    assert [m["content"] for m in masked["messages"]] == [
        "Passages: mail [EMAIL_1]",
        [{"type": "text", "text": "I am [EMAIL_2]"}],
        None,
        "[EMAIL_2], [PHONE_1]",
    ]
    assert masked["messages"][2]["tool_calls"][0]["function"] == {"name": "find", "arguments": '"[EMAIL_2]"'}
    assert masked["user"] == "[EMAIL_2]"
    assert mask.size == 3
    assert request["user"] == "jane@example.com", "the caller's own request is left alone"


def test_a_megabyte_of_digits_is_read_in_time() -> None:
    import time

    for text in ("1" * 1_000_000, "0 1" * 300_000, "a@" * 500_000, "a.b" * 300_000, "DE89 " * 200_000):
        started = time.monotonic()
        Mask().hide(text)
        assert time.monotonic() - started < 5
