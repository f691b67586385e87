"""Going on with an answer that another provider began.

The request takes vLLM's form: what was said so far as the last message, marked `continue_final_message`.
"""

from collections.abc import AsyncIterator
from typing import Any

from models.llm.protocol import ChatRequest, Chunk

MIN_OVERLAP = 8
"""Characters. A shorter repetition ("very very") is more often meant than a fault."""


def possible(request: ChatRequest) -> bool:
    """Plain text only: a constrained grammar and a tool call start afresh with every request."""
    form = (request.get("response_format") or {}).get("type", "text")
    return not request.get("tools") and form == "text"


def of(request: ChatRequest, said: str, pieces: int) -> ChatRequest:
    """`request`, to go on after `said`, which came in `pieces`: about a token each, taken off its limit."""
    limits = {
        key: max(1, request[key] - pieces)
        for key in ("max_tokens", "max_completion_tokens")
        if request.get(key)
    }
    messages = [*request.get("messages", ()), {"role": "assistant", "content": said}]
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    return {**request, **limits, **flags, "messages": messages}


def says_something(chunk: Chunk) -> bool:
    """Whether a reader has seen anything of it: text, reasoning or a part of a tool call."""
    choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
    delta = choice.get("delta") or {}
    return bool(chunk.text) or any(value for key, value in delta.items() if key not in {"role", "content"})


async def trimmed(said: str, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    """`chunks` without what they repeat of the end of `said`; held back until that is decided."""
    held, deciding = "", True
    async for chunk in chunks:
        if not deciding:
            yield chunk
            continue
        held += chunk.text
        if held in said and not chunk.finish_reason:  # the tail, for all that is known yet
            continue
        deciding = False
        yield _with_text(chunk, held[overlap(said, held) :])
    if deciding and (rest := held[overlap(said, held) :]):
        yield Chunk(text=rest, raw={"choices": [{"index": 0, "delta": {"content": rest}}]})


def overlap(said: str, held: str) -> int:
    """How many characters at the start of `held` repeat the end of `said`, all of `said` at most."""
    for length in range(min(len(said), len(held)), 0, -1):
        if length >= min(MIN_OVERLAP, len(said)) and said.endswith(held[:length]):
            return length
    return 0


def _with_text(chunk: Chunk, text: str) -> Chunk:
    choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
    delta = {**(choice.get("delta") or {}), "content": text}
    raw = {**chunk.raw, "choices": [{**choice, "delta": delta}]}
    return Chunk(text=text, raw=raw, finish_reason=chunk.finish_reason, usage=chunk.usage)
