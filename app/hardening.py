"""What browsers and parsers are told and spared: security headers on every answer, no bottomless JSON."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.asgi import HttpLayer
from app.errors import Invalid

MAX_NESTING = 64
"""Deeper than anything the API takes; Python's parser gives up at about a thousand, unpleasantly."""

PAGES = frozenset({"/docs", "/docs/oauth2-redirect"})
"""Swagger's own page loads scripts; everything else is data and loads nothing."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
TWO_YEARS = "max-age=63072000; includeSubDomains"

BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class TooDeep(Invalid):
    """The JSON is nested too deeply."""


class SecurityHeaders(HttpLayer):
    """On every answer. Nothing of the API is kept by caches unless the answer itself says otherwise."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """`https`: whether browsers may be told never to come by plain HTTP again."""
        super().__init__(app)
        self.https = https

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._harden(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self.app(scope, receive, hardened)

    def _harden(self, headers: MutableHeaders, path: str) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if path not in PAGES:
            headers.setdefault("Content-Security-Policy", NOTHING)
        if self.https:
            headers.setdefault("Strict-Transport-Security", TWO_YEARS)


class NestingLimit:
    """Refuses JSON nested deeper than `MAX_NESTING` before anything parses it; the body's size is bounded."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_json = scope["type"] == "http" and "json" in Headers(scope=scope).get("content-type", "")
        await self.app(scope, _checked(receive) if is_json else receive, send)


def _checked(receive: Receive) -> Receive:
    body = bytearray()

    async def checked() -> Message:
        message = await receive()
        body.extend(message.get("body", b""))
        if not message.get("more_body") and nesting(body) > MAX_NESTING:
            raise TooDeep(f"The JSON is nested more than {MAX_NESTING} levels deep.")
        return message

    return checked


def nesting(body: bytes | bytearray) -> int:
    """How deep the brackets outside of strings go; at most 64 are not counted one by one."""
    if body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return 0
    depth = deepest = 0
    for token in BRACKETS.finditer(body):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                deepest = max(deepest, depth)
            case b"]" | b"}":
                depth -= 1
    return deepest
