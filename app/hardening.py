"""What browsers and parsers are told and spared: security headers on every answer, no bottomless JSON."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.asgi import HttpLayer
from app.errors import Invalid

MAX_NESTING = 64
"""Deeper than anything the API takes; Python's parser gives up at about a thousand, unpleasantly."""

PAGES = frozenset({"/docs", "/docs/oauth2-redirect"})
"""Swagger's own page loads scripts; everything else is data and loads nothing."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
POLICY = b"content-security-policy"
NOTHING = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
TWO_YEARS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")

BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class TooDeep(Invalid):
    """The JSON is nested too deeply."""


class SecurityHeaders(HttpLayer):
    """On every answer. Nothing of the API is kept by caches unless the answer itself says otherwise."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """`https`: whether browsers may be told never to come by plain HTTP again."""
        super().__init__(app)
        self._headers = [*HEADERS, TWO_YEARS] if https else HEADERS

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = list(message["headers"])
                there = {name for name, _ in said}
                said += [each for each in self._headers if each[0] not in there]
                if scope["path"] not in PAGES and POLICY not in there:
                    said.append((POLICY, NOTHING))
                message = {**message, "headers": said}
            await send(message)

        await self.app(scope, receive, hardened)


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
