"""One attempt at a real receiver: what is connected to, what is believed, how long and how much."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.webhooks.destinations import LOOPBACK, Destinations, SystemResolver
from app.webhooks.sending import Outcome, Sender
from config.webhooks import WebhookSettings
from tests.integration.receiver import Receiver, receiving

FAST = WebhookSettings(timeout_s=1.0, connect_s=0.5, claim_s=2.0, response_bytes=100)
NAME = "hooks.example.com"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def post(url: str, *, also: tuple[Any, ...] = LOOPBACK, trust: ssl.SSLContext | None = None) -> Outcome:
    sender = Sender(Destinations(SystemResolver(), also), FAST, trust)
    try:
        return await sender.send(url, {"webhook-id": "1"}, b'{"a": 1}')
    finally:
        await sender.close()


async def test_what_is_sent_and_what_is_kept(receiver: Receiver) -> None:
    outcome = await post(f"http://localhost:{receiver.port}/hook?token=1")
    assert (outcome.error, outcome.status, outcome.response) == (None, 200, "hello")
    (got,) = receiver.got
    assert (got.path, got.body) == ("/hook?token=1", b'{"a": 1}')
    assert got.headers["host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "0",
    ],
)
async def test_loopback_by_any_name_is_refused(receiver: Receiver, host: str) -> None:
    outcome = await post(f"http://{host}:{receiver.port}/", also=())
    assert outcome.error in {"the receiver's address is not public", "the receiver's name has no address"}
    assert receiver.got == []


async def test_a_name_that_does_not_exist() -> None:
    outcome = await post("https://no-such-host.invalid/")
    assert outcome.error == "the receiver's name has no address"


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    async with receiving() as inner:
        where = f"HTTP/1.1 307 Away\r\nLocation: {inner.url}\r\nContent-Length: 0\r\n\r\n"
        receiver.always = where.encode()
        outcome = await post(receiver.url)
        assert outcome.error == "HTTP 307: redirects are not followed"
        assert len(receiver.got) == 1
        assert inner.got == []


async def test_a_name_that_changes_its_address_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: `127.0.0.2` stands for the public address, `127.0.0.1` for what must not be reached.

    The override is the C library's own door: whoever looked the name up a second time would get the other.
    """
    real, asked = socket.getaddrinfo, []

    def rebinding(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != NAME:
            return real(host, *args, **kwargs)
        asked.append(host)
        return real("127.0.0.2" if len(asked) == 1 else "127.0.0.1", *args, **kwargs)

    allowed = (ipaddress.ip_network("127.0.0.2/32"),)
    async with receiving("127.0.0.2") as public, receiving("127.0.0.1", public.port) as inner:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        first = await post(f"http://{NAME}:{public.port}/hook", also=allowed)
        assert (first.error, len(public.got), inner.got) == (None, 1, [])
        assert public.got[0].headers["host"] == f"{NAME}:{public.port}"
        assert len(asked) == 1, "looked up once"
        second = await post(f"http://{NAME}:{public.port}/hook", also=allowed)
        assert second.error == "the receiver's address is not public"
        assert (len(public.got), inner.got) == (1, [])


async def test_no_proxy_of_the_environment_is_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await post(receiver.url)).error is None
        assert (len(receiver.got), proxy.got) == (1, [])


async def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    sender = Sender(Destinations(resolve, LOOPBACK), FAST)
    outcome = await sender.send(f"http://{NAME}:{receiver.port}/", {}, b"{}")
    await sender.close()
    assert outcome.error is None


async def test_silence_ends_in_time(receiver: Receiver) -> None:
    receiver.delay_s = 30
    started = time.monotonic()
    outcome = await post(receiver.url)
    assert outcome.error == "no answer in time"
    assert time.monotonic() - started < 10


async def test_an_endless_answer_is_cut(receiver: Receiver) -> None:
    receiver.always = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5_000_000
    outcome = await post(receiver.url)
    assert (outcome.error, outcome.response) == (None, "x" * 100)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"nonsense\r\n\r\n", "the connection broke"),
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Big: " + b"x" * 200_000 + b"\r\n\r\n", "the connection broke"),
        (500, "HTTP 500"),
        (404, "HTTP 404"),
        (304, "HTTP 304: redirects are not followed"),
    ],
)
async def test_answers_that_are_none(receiver: Receiver, said: int | bytes, error: str) -> None:
    receiver.always = said
    assert (await post(receiver.url)).error == error


@pytest.mark.parametrize(
    ("value", "least", "most"), [("7", 7, 7), ("²", 0, 0), ("soon", 0, 0), ("http-date", 100, 121)]
)
async def test_retry_after(receiver: Receiver, value: str, least: float, most: float) -> None:
    if value == "http-date":
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
        value = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.always = f"HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode(
        "latin-1"
    )
    outcome = await post(receiver.url)
    assert least <= (outcome.retry_after_s or 0) <= most


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `hooks.example.com`, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


async def test_tls_is_for_the_name_although_the_address_is_connected_to(certificate: Path) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=str(certificate))

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiving(tls=served) as receiver:
        sender = Sender(Destinations(resolve, LOOPBACK), FAST, trusted)
        right = await sender.send(f"https://{NAME}:{receiver.port}/", {}, b"{}")
        assert (right.error, right.status) == (None, 200)
        assert receiver.names == [NAME]
        assert receiver.got[0].headers["host"] == f"{NAME}:{receiver.port}"
        wrong = await sender.send(f"https://other.example.com:{receiver.port}/", {}, b"{}")
        assert wrong.error == "no TLS connection: the certificate is not valid for this name"
        await sender.close()
        stranger = Sender(Destinations(resolve, LOOPBACK), FAST)
        unknown = await stranger.send(f"https://{NAME}:{receiver.port}/", {}, b"{}")
        assert unknown.error == "no TLS connection: the certificate is not valid for this name"
        await stranger.close()
        assert len(receiver.got) == 1


async def test_a_resolver_that_hangs_holds_up_nobody(receiver: Receiver) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    sender = Sender(Destinations(resolve, LOOPBACK), FAST)
    outcome = await sender.send(receiver.url, {}, b"{}")
    await sender.close()
    assert outcome.error == "no answer in time"
