"""One attempt at one receiver: its name looked up, checked, connected to by the checked address.

Redirects are not followed, no proxy of the environment is asked, connections are not reused, and of the
answer only the beginning is read. Whatever goes wrong at a receiver is an `Outcome`, not an exception.
"""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from app.webhooks.destinations import Address, DestinationRefused, Destinations, NameUnknown
from config.webhooks import WebhookSettings

MOST_ADDRESSES = 3
"""Of a name that has many; each gets `connect_s`, all together `timeout_s`."""

GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` is one of a few phrases of ours and `None` where the receiver took it; it holds no URL."""

    at: datetime
    seconds: float
    error: str | None
    status: int | None = None
    response: str = ""
    """How the receiver's answer begins."""
    retry_after_s: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the receiver asks for nothing to be sent any more."""
        return self.status == GONE


class Sender:
    def __init__(
        self, destinations: Destinations, settings: WebhookSettings, trust: ssl.SSLContext | None = None
    ) -> None:
        self._destinations = destinations
        self._settings = settings
        self._http = httpx.AsyncClient(
            verify=trust or ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_s),
            # by its address alone a connection would be shared by every name that is served there
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        at, started = datetime.now(UTC), time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answer, began = await self._post(httpx.URL(url), headers, body)
        except Exception as error:  # the other side is anybody's server: whatever happens there is an outcome
            return Outcome(at, time.monotonic() - started, _phrase(error))
        refusal = None if answer.is_success else _refusal(answer.status_code)
        wish = _retry_after(answer.headers.get("retry-after"), at)
        seconds = time.monotonic() - started
        return Outcome(at, seconds, refusal, answer.status_code, began, wish)

    async def _post(
        self, url: httpx.URL, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = (await self._destinations.addresses(url.host, port))[:MOST_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, url, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], url, headers, body)

    async def _post_to(
        self, address: Address, url: httpx.URL, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, str]:
        """The certificate has to be the name's; the connection goes to the address."""
        sent = {
            **headers,
            "Host": url.netloc.decode("ascii"),
            "Connection": "close",
            "Accept-Encoding": "identity",
        }
        async with self._http.stream(
            "POST",
            url.copy_with(host=str(address)),
            headers=sent,
            content=body,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        ) as answer:
            return answer, await self._beginning(answer)

    async def _beginning(self, answer: httpx.Response) -> str:
        read = b""
        async for part in answer.aiter_raw():
            read += part
            if len(read) >= self._settings.response_bytes:
                break
        return read[: self._settings.response_bytes].decode(errors="replace").replace("\x00", "")

    async def close(self) -> None:
        await self._http.aclose()


def _phrase(error: Exception) -> str:
    match error:
        case DestinationRefused():
            return "the receiver's address is not public"
        case NameUnknown():
            return "the receiver's name has no address"
        case TimeoutError() | httpx.TimeoutException():
            return "no answer in time"
        case httpx.ConnectError() if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
            return "no TLS connection: the certificate is not valid for this name"
        case httpx.ConnectError():
            return "no connection"
        case httpx.TransportError():
            return "the connection broke"
    return f"could not be sent: {type(error).__name__}"


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed"
    return f"HTTP {status}"


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds, from the number or the date that RFC 9110, 10.2.3 allows."""
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
