"""What every request passes through: an id, a limit on what is under way, a limit on the body's size."""

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import attribution
from app.asgi import HttpLayer
from app.attribution import Attribution
from app.errors import Overloaded, ServiceError, TooLarge, TooSlow
from app.problems import render
from monitoring import logs

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
UNFORESEEN = "Something went wrong on our side; the log has it under this response's X-Request-ID."
GRACE_S = 15.0
LEAST_BYTES_PER_S = 16 << 10
"""How slowly a body may come in after the grace: a megabyte within 80 s."""
ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz"})


class RequestId(HttpLayer):
    """Puts the request's id into every log line, and with the caller's address into the audit.

    Serve and HAProxy give each request one, or keep the caller's, and answer with it; where neither stands
    in front, it is made and answered with here.
    """

    def __init__(self, app: ASGIApp, address: Callable[[Scope], str]) -> None:
        super().__init__(app)
        self.address = address

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [*message["headers"], (b"x-request-id", request_id.encode())],
                }
            await send(message)

        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        logs.request_state.set(state)
        nobody_yet = Attribution("anonymous", self.address(scope), f"request:{request_id}")
        with structlog.contextvars.bound_contextvars(request_id=request_id), attribution.acting(nobody_yet):
            await self.app(scope, receive, send if given else send_with_id)


class LastResort(HttpLayer):
    """What nobody foresaw is logged, and answered like any other error while no answer has begun."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # the edge of the process: below here there is only the server
            log.error("unforeseen error", path=scope["path"], exc_info=error)
            if begun:
                raise
            await _refuse(ServiceError(UNFORESEEN), scope, receive, send)


class Admission(HttpLayer):
    """At most `limit` requests at a time; the next one is told to come back. Health is always answered."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        super().__init__(app)
        self.limit = limit
        self.under_way = 0

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in ALWAYS_ANSWERED:
            await self.app(scope, receive, send)
            return
        if self.under_way >= self.limit:
            await _refuse(Overloaded(), scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1


class BodyLimit(HttpLayer):
    """Refuses a body over `limit` bytes: at once by its Content-Length, else when it has come to that.

    And one that trickles in: it would hold one of the places of `Admission`, for which nobody has to sign in.
    """

    def __init__(self, app: ASGIApp, limit: int, others: Mapping[str, int] | None = None) -> None:
        """`others` are paths with limits of their own."""
        super().__init__(app)
        self.limit = limit
        self.others = others or {}

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self.others.get(scope["path"], self.limit)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            await _refuse(_too_large(limit), scope, receive, send)
            return
        await self.app(scope, self._counted(receive, limit), send)

    def _counted(self, receive: Receive, limit: int) -> Receive:
        seen, begun, complete = 0, asyncio.get_running_loop().time(), False

        async def counted() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(begun + GRACE_S + seen / LEAST_BYTES_PER_S):
                    message = await receive()
            except TimeoutError as error:
                raise TooSlow from error
            seen += len(message.get("body", b""))
            complete = not message.get("more_body")
            if seen > limit:
                raise _too_large(limit)
            return message

        return counted


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit:,} bytes.", limit_bytes=limit)


async def _refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    await render(error, scope)(scope, receive, send)
