"""OpenAI's server-sent events, read one by one."""

import json
from collections.abc import AsyncIterator
from typing import Any

from models.llm.continuation import says_something
from models.llm.errors import ProviderError
from models.llm.protocol import Chunk, Usage
from models.llm.refusals import refused

DONE = "[DONE]"


async def chunks(lines: AsyncIterator[str]) -> AsyncIterator[Chunk]:
    """The chunks of an OpenAI stream, from its `data:` lines; `ProviderError` on anything else.

    A stream that ends without `[DONE]` and without a finish reason is broken: the answer may be cut. So is
    one that ends before it began.
    """
    begun = finished = False
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == DONE and begun:
            return
        if data == DONE:
            break
        chunk = parse(data)
        finished = finished or chunk.finish_reason is not None
        begun = begun or finished or says_something(chunk)
        yield chunk
    if not finished:
        where = "in the middle of the answer" if begun else "before the answer began"
        raise ProviderError("broken", f"the stream ended {where}")


def parse(data: str) -> Chunk:
    """One chunk from its JSON; `ProviderError` where it is an error object or no JSON at all."""
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ProviderError("broken", "the stream holds something that is not JSON") from error
    if not isinstance(raw, dict):
        raise ProviderError("broken", "the stream holds JSON that is not a chunk")
    if raw.get("error") or raw.get("object") == "error":
        raise refused(raw)
    try:
        return _chunk(raw)
    except (AttributeError, KeyError, TypeError) as error:
        raise ProviderError("broken", "the stream holds JSON that is not a chunk") from error


def _chunk(raw: dict[str, Any]) -> Chunk:
    choice: dict[str, Any] = next(iter(raw.get("choices") or []), {})
    usage = raw.get("usage")
    return Chunk(
        text=(choice.get("delta") or {}).get("content") or "",
        raw=raw,
        finish_reason=choice.get("finish_reason"),
        usage=Usage(usage["prompt_tokens"], usage.get("completion_tokens") or 0) if usage else None,
    )
