"""What an answer took, where its provider does not say: it died in the middle, or never says."""

from collections.abc import Iterator
from typing import Any

from models.llm.protocol import ChatRequest, Usage
from models.prompts.tokens import TokenCounter

PER_MESSAGE = 4
"""Tokens around a message in OpenAI's chat format (openai-cookbook, "How to count tokens with tiktoken")."""


def usage(request: ChatRequest, said: str, counter: TokenCounter) -> Usage:
    """The prompt of `request` and what was said, in `counter`'s tokens; pictures are not counted."""
    messages = request.get("messages") or []
    prompt = sum(PER_MESSAGE + counter.count(_text(message)) for message in messages)
    return Usage(prompt, counter.count(said))


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return str(content)


def texts(value: Any) -> Iterator[str]:
    """Every string in a part of a request."""
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)
