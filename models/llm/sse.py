"""OpenAI's server-sent events, read one by one."""

import json
from collections.abc import AsyncIterator
from typing import Any

from models.llm.errors import ProviderError
from models.llm.protocol import Chunk, Usage

DONE = "[DONE]"


async def chunks(lines: AsyncIterator[str]) -> AsyncIterator[Chunk]:
    """The chunks of an OpenAI stream, from its `data:` lines; `ProviderError` on anything else.

    A stream that ends without `[DONE]` and without a finish reason is broken: the answer may be cut.
    """
    finished = False
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == DONE:
            return
        chunk = parse(data)
        finished = finished or chunk.finish_reason is not None
        yield chunk
    if not finished:
        raise ProviderError("broken", "the stream ended in the middle of the answer")


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
    choice: dict[str, Any] = next(iter(raw.get("choices") or []), {})
    usage = raw.get("usage")
    return Chunk(
        text=(choice.get("delta") or {}).get("content") or "",
        raw=raw,
        finish_reason=choice.get("finish_reason"),
        usage=Usage(usage["prompt_tokens"], usage.get("completion_tokens") or 0) if usage else None,
    )


def refused(raw: dict[str, Any], status: int | None = None) -> ProviderError:
    """The error that an OpenAI error object stands for."""
    error = raw.get("error") if isinstance(raw.get("error"), dict) else raw
    detail = str((error or {}).get("message") or raw)[:500]
    code = status or (error or {}).get("code")
    status = code if isinstance(code, int) else None
    if status == 429:
        return ProviderError("rate_limited", detail, status=status)
    if status is not None and 400 <= status < 500:
        return ProviderError("rejected", detail, status=status)
    return ProviderError("broken", detail, status=status)
