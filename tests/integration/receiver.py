"""A server that webhooks are sent to: real sockets, answers as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Got:
    path: str
    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """What a receiver that checks signatures reads; raises where none is of this secret."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    port: int = 0
    host: str = "127.0.0.1"
    got: list[Got] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """That TLS clients asked for."""
    answers: list[int | bytes] = field(default_factory=list)
    """One for each request to come: a status, or a whole response; 200 when there is none left."""
    always: int | bytes = 200
    delay_s: float = 0.0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.got]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.got.append(Got(request.split()[1], headers, body))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), self.delay_s)
            said = self.answers.pop(0) if self.answers else self.always
            if isinstance(said, int):
                said = f"HTTP/1.1 {said} Told\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello".encode()
            writer.write(said)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver(host=host)
    if tls:
        tls.sni_callback = lambda socket, name, context: receiver.names.append(name)
    server = await asyncio.start_server(receiver.answer, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.wait_closed()
