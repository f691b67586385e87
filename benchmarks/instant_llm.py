"""An LLM that answers at once, in OpenAI's form: `python -m benchmarks.instant_llm PORT`, on loopback."""

import json
import sys
from typing import Any

from aiohttp import web

WORDS = ("Open ", "the ", "copy ", "and ", "choose ", "Compare", " now", ".")
USAGE = {"prompt_tokens": 20, "completion_tokens": len(WORDS), "total_tokens": 20 + len(WORDS)}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "instant"}


def _event(delta: dict[str, str], finish: str | None = None, **extra: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = HEAD | {"object": "chat.completion.chunk", "choices": choices} | extra
    return f"data: {json.dumps(chunk)}\n\n".encode()


EVENTS = [
    _event({"role": "assistant", "content": ""}),
    *(_event({"content": word}) for word in WORDS),
    _event({}, "stop"),
]
TAIL = _event({}, choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
WHOLE = json.dumps(
    HEAD
    | {
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    }
).encode()


async def answer(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if not body.get("stream"):
        return web.Response(body=WHOLE, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in EVENTS:  # one write each, as a model's tokens come
        await response.write(event)
    usage = TAIL if (body.get("stream_options") or {}).get("include_usage") else b""
    await response.write(usage + DONE)
    return response


def main(port: int) -> None:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", answer)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
