"""A provider's address: takes a POST, answers with server-sent events.

On aiohttp: the `openai` package streams 224 answers a second where aiohttp manages 8,929 plain calls.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from models.llm.errors import ProviderError
from models.llm.refusals import refused

EVENTS = "text/event-stream"
ERROR_BYTES = 4000
"""An error is read no further than this."""


class Address:
    """One URL with its headers. The connections it keeps are the caller's event loop's."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str], *, connect_timeout_s: float) -> None:
        self._name = name
        self._url = url
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def lines(self, body: Mapping[str, Any]) -> AsyncIterator[str]:
        """The answer, line by line; whatever else comes is a `ProviderError`.

        Leaving the iteration closes the connection, which is how a provider learns of it.
        """
        try:
            async with self._client().post(self._url, json=body, allow_redirects=False) as response:
                if response.status != 200:
                    raise await _failure(response)
                if response.content_type != EVENTS:
                    raise ProviderError("broken", f"{self._name} sent {response.content_type}, not {EVENTS}")
                async for line in response.content:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ProviderError("connect", f"cannot reach {self._name}") from error
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:  # ValueError: an endless line
            raise ProviderError("broken", f"{self._name}: {type(error).__name__}") from error

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=0),  # the provider's slots are the limit
            )
        return self._session


async def _failure(response: aiohttp.ClientResponse) -> ProviderError:
    text = (await response.content.read(ERROR_BYTES)).decode("utf-8", "replace")
    try:
        raw = json.loads(text)
    except ValueError:
        raw = {}
    retry_after = seconds(response.headers.get("Retry-After"))
    error = raw if isinstance(raw, dict) and raw else {"message": text}
    return refused(error, response.status, retry_after=retry_after)


def seconds(retry_after: str | None) -> float | None:
    """A Retry-After header in seconds from now: a number, or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
