"""Any provider that speaks OpenAI's chat completions over HTTP, and Azure's variant of them."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from models.llm import sse
from models.llm.http import Address
from models.llm.protocol import ChatRequest, Chunk

AZURE_DIALECT = "2024-10-21"
"""The first api-version with `stream_options`."""


class OpenAICompatible:
    """Implements `ChatProvider`."""

    def __init__(self, name: str, *, address: Address, model: str) -> None:
        self.name = name
        self._address = address
        self._model = model

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        body = {**request, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        async with aclosing(cast(Any, self._address.lines(body))) as lines:
            async for chunk in sse.chunks(lines):
                yield chunk

    async def is_up(self) -> bool:
        """A hosted provider is taken to be up until a call says otherwise."""
        return True

    async def close(self) -> None:
        await self._address.close()


def openai(
    name: str, *, base_url: str, api_key: str, model: str, connect_timeout_s: float
) -> OpenAICompatible:
    url = f"{base_url.rstrip('/')}/chat/completions"
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return OpenAICompatible(
        name, address=Address(name, url, headers, connect_timeout_s=connect_timeout_s), model=model
    )


def azure(
    name: str,
    *,
    base_url: str,
    api_key: str,
    deployment: str,
    connect_timeout_s: float,
    api_version: str = AZURE_DIALECT,
) -> OpenAICompatible:
    """Azure OpenAI: the deployment stands in the URL, the key in a header of its own."""
    path = f"openai/deployments/{deployment}/chat/completions?api-version={api_version}"
    address = Address(
        name, f"{base_url.rstrip('/')}/{path}", {"api-key": api_key}, connect_timeout_s=connect_timeout_s
    )
    return OpenAICompatible(name, address=address, model=deployment)
