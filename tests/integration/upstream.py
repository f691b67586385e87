"""A provider's HTTP server that speaks OpenAI's streaming chat completions, and fails as a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aiohttp import web

Failure: TypeAlias = Literal[
    "drop",
    "stall",
    "malformed",
    "not_a_chunk",
    "rate_limited",
    "server_error",
    "empty",
    "content_filter",
    "context_length",
    "wrong_content_type",
    "unauthorised",
]

TOKENS = ("Open ", "the ", "copy ", "and ", "choose ", "Compare.")
USAGE = {"prompt_tokens": 20, "completion_tokens": len(TOKENS), "total_tokens": 20 + len(TOKENS)}
ERRORS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "rate_limited": (429, {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}),
    "server_error": (500, {"message": "oops", "type": "server_error"}),
    "context_length": (
        400,
        {"message": "maximum context length is 8", "type": "x", "code": "context_length_exceeded"},
    ),
    "content_filter": (400, {"message": "filtered", "type": "x", "code": "content_filter"}),
    "unauthorised": (401, {"message": "no such key", "type": "x", "code": "invalid_api_key"}),
}
"""As OpenAI sends them: with this status instead of an answer, as an event once the answer has begun."""


@dataclass
class Upstream:
    """Before token `at` of its first `times` answers it does what `failure` says; then it is well."""

    failure: Failure | None = None
    at: int = 0
    times: int = 1000
    retry_after: str | None = None
    continues: bool = False
    """Whether it goes on from an assistant message marked `continue_final_message`."""
    echo: int = 0
    """How many tokens it then repeats."""
    choices: list[dict[str, Any]] = field(default_factory=list)
    """What it says instead, one choice an event."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    was_dropped: asyncio.Event = field(default_factory=asyncio.Event)
    """A reader did not wait for the end of an answer."""
    under_way: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.paths.append(request.path_qs)
        failure = self.failure if len(self.requests) <= self.times else None
        if self.at == 0 and failure in ERRORS:
            status, error = ERRORS[failure]
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response({"error": error}, status=status, headers=headers)
        if failure == "wrong_content_type" and self.at == 0:
            return web.Response(text="<html>sign in to the Wi-Fi</html>", content_type="text/html")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.under_way += 1
        try:
            await self._stream(response, request, body, failure)
        except (ConnectionError, asyncio.CancelledError):
            self.was_dropped.set()
        finally:
            self.under_way -= 1
        return response

    async def _stream(
        self, response: web.StreamResponse, request: web.Request, body: Any, failure: Failure | None
    ) -> None:
        if failure != "empty" or self.at:
            await _event(response, {"choices": [choice({"role": "assistant", "content": ""})]})
        for number, token in enumerate([*self._tokens(body), None]):
            if number == self.at and failure and await self._fail(response, request, failure):
                return
            if token is not None:
                await _event(response, {"choices": [token if self.choices else choice({"content": token})]})
        if not self.choices:
            await _event(response, {"choices": [choice({}, "stop")]})
        await _event(response, {"choices": [], "usage": USAGE})
        await response.write(b"data: [DONE]\n\n")

    def _tokens(self, body: Any) -> list[Any]:
        """All of them, or those that follow the message to go on with."""
        if self.choices:
            return self.choices
        last = body["messages"][-1] if body.get("messages") else {}
        if not (self.continues and body.get("continue_final_message")):
            return list(TOKENS)
        begun = next(n for n in range(len(TOKENS) + 1) if "".join(TOKENS[:n]) == last["content"])
        return list(TOKENS[max(0, begun - self.echo) :])

    async def _fail(self, response: web.StreamResponse, request: web.Request, failure: Failure) -> bool:
        """Whether the answer is over with that."""
        match failure:
            case "drop":
                assert request.transport
                request.transport.abort()
            case "stall":
                await asyncio.sleep(30)
            case "malformed":
                await response.write(b'data: {"choices": [{"del\n\n')
            case "not_a_chunk":
                await _event(response, {"choices": ["text"]})
            case "empty":
                await response.write(b": nothing more\n\n")
            case "content_filter":
                await _event(response, {"choices": [choice({}, "content_filter")]})
                await response.write(b"data: [DONE]\n\n")
            case _:
                await _event(response, {"error": ERRORS[failure][1]})
        return True


def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


async def _event(response: web.StreamResponse, data: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(data)}\n\n".encode())


@asynccontextmanager
async def served(upstream: Any, *, path: str = "/{path:.*}") -> AsyncIterator[str]:
    """`upstream.answer` behind every path of a server on a free port of the loopback; its address."""
    app = web.Application()
    app.router.add_post(path, upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
