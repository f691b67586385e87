"""Personal data out of what a hosted provider sees, and back into what it answers.

Each value becomes a placeholder such as `[EMAIL_1]`, the same one throughout a request, so that the model can
still speak of it. Found by their form: mail addresses, telephone numbers, cards (Luhn), IBANs (ISO 7064
mod 97-10), US social security numbers, IP addresses. Names and postal addresses have no form: they are not
found.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.llm.estimates import texts
from models.llm.protocol import ChatRequest, Chunk

PLAIN_KEYS = frozenset({"role", "type", "id", "tool_call_id", "name", "url", "data", "detail"})
"""Of a message: names of things, and pictures."""


def _is_card(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()][::-1]
    doubled = sum(sum(divmod(2 * d, 10)) for d in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    plain = text.replace(" ", "").upper()
    return len(plain) >= 15 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15 and not DATE.match(text)


PLAIN_DELTA = frozenset({"role", "content"})
DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}")
KINDS: Sequence[tuple[str, re.Pattern[str], Callable[[str], bool]]] = (
    (
        "EMAIL",
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b"),
        bool,
    ),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    ("CARD", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), _is_card),
    ("SSN", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), bool),
    (
        "IP",
        re.compile(r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w.]\d)"),
        bool,
    ),
    ("PHONE", re.compile(r"(?<![\w.,/-])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){6,14}(?!\w)"), _is_phone),
    ("PHONE", re.compile(r"(?<![\w.,/-])(?:\(0\d{1,4}\)|0\d{1,4})(?:[ ./-]?\d){5,11}(?![\w-])"), _is_phone),
    ("PHONE", re.compile(r"(?<![\w.,/-])(?:\(\d{3}\)|\d{3})[ .-]\d{3}[ .-]\d{4}(?![\w-])"), _is_phone),
)
WITHOUT_DIGITS = [each for each in KINDS if each[0] == "EMAIL"]
DIGITS = re.compile(r"\d\D{0,3}\d")
"""Two near each other: every form but an address has them, most texts have not."""


class Mask:
    """The placeholders of one request; they are not kept anywhere."""

    def __init__(self) -> None:
        self._hidden: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._text = ""

    @property
    def size(self) -> int:
        """How many values are hidden."""
        return len(self._hidden)

    def request(self, request: ChatRequest) -> ChatRequest:
        """`request` without what was found in its messages and in `user`."""
        self._text = "\n".join(texts(request.get("messages") or []))
        masked = {**request, "messages": self._masked(request.get("messages") or [])}
        if isinstance(request.get("user"), str):
            masked["user"] = self.hide(request["user"])
        return masked

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        if isinstance(value, dict):
            return {k: v if k in PLAIN_KEYS else self._masked(v) for k, v in value.items()}
        return value

    def hide(self, text: str) -> str:
        for kind, pattern, is_one in KINDS if DIGITS.search(text) else WITHOUT_DIGITS:
            text = pattern.sub(
                lambda found, kind=kind, is_one=is_one: (  # type: ignore[misc]
                    self._placeholder(kind, found[0]) if is_one(found[0]) else found[0]
                ),
                text,
            )
        return text

    def _placeholder(self, kind: str, value: str) -> str:
        if value not in self._hidden:
            made = self._next(kind)
            while made in self._text:  # somebody wrote it themselves: theirs stays theirs
                made = self._next(kind)
            self._hidden[value], self._shown[made] = made, value
        return self._hidden[value]

    def _next(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"[{kind}_{self._counts[kind]}]"

    def restored(self, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """`chunks` with the values back; a placeholder may come in any pieces."""
        return _restored(chunks, self._shown) if self._shown else chunks


class Restoring:
    """One text that comes in pieces: an end that may become a placeholder is held back."""

    def __init__(self, shown: Mapping[str, str]) -> None:
        self._shown = shown
        self._any = re.compile("|".join(map(re.escape, shown)))
        self._beginnings = {name[:end] for name in shown for end in range(1, len(name))}
        self._longest = max(map(len, shown)) - 1
        self._held = ""

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def more(self, text: str) -> str:
        text = self._any.sub(lambda found: self._shown[found[0]], self._held + text)
        open_at = text.rfind("[", -self._longest)
        self._held = text[open_at:] if open_at >= 0 and text[open_at:] in self._beginnings else ""
        return text[: len(text) - len(self._held)]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


async def _restored(chunks: AsyncIterator[Chunk], shown: Mapping[str, str]) -> AsyncIterator[Chunk]:
    texts: dict[tuple[str, int], Restoring] = {}

    def text(key: str, index: int = 0) -> Restoring:
        if (known := texts.get((key, index))) is None:
            known = texts[key, index] = Restoring(shown)
        return known

    async for chunk in chunks:
        if chunk.finish_reason:
            for held in _held(texts):
                yield held
        yield chunk if _is_plain(chunk, texts) else _chunk(chunk, text)
    for held in _held(texts):  # the stream ended without a word
        yield held


def _is_plain(chunk: Chunk, texts: Mapping[tuple[str, int], Restoring]) -> bool:
    """Text alone that no placeholder begins in or goes on in, as most chunks are: spares 7 µs each."""
    choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
    held = any(each.holds for each in texts.values())
    return not held and "[" not in chunk.text and (choice.get("delta") or {}).keys() <= PLAIN_DELTA


def _chunk(chunk: Chunk, text: Callable[..., Restoring]) -> Chunk:
    choice: dict[str, Any] = next(iter(chunk.raw.get("choices") or []), {})
    delta = dict(choice.get("delta") or {})
    for key, value in delta.items():
        if isinstance(value, str) and key != "role":
            delta[key] = text(key).more(value)
    if delta.get("tool_calls"):
        delta["tool_calls"] = [_call(call, text) for call in delta["tool_calls"]]
    if not choice:
        return chunk
    return replace(
        chunk, text=delta.get("content") or "", raw={**chunk.raw, "choices": [{**choice, "delta": delta}]}
    )


def _call(call: dict[str, Any], text: Callable[..., Restoring]) -> dict[str, Any]:
    function = call.get("function") or {}
    if not function.get("arguments"):
        return call
    arguments = text("tool_calls", call.get("index", 0)).more(function["arguments"])
    return {**call, "function": {**function, "arguments": arguments}}


def _held(texts: Mapping[tuple[str, int], Restoring]) -> Iterator[Chunk]:
    """What was held back and did not become a placeholder."""
    for (key, index), restoring in texts.items():
        if rest := restoring.rest():
            call = {"index": index, "function": {"arguments": rest}}
            delta = {"tool_calls": [call]} if key == "tool_calls" else {key: rest}
            raw = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            yield Chunk(text=rest if key == "content" else "", raw=raw)
