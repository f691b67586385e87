"""What is said of an error in logs and in the rows of jobs: what went wrong and where, never people's words.

Messages of other people's exceptions quote the values they stumbled over: a row that violates a constraint, a
field that does not fit. Ours never do, by the rule that nothing anybody wrote goes into one.
"""

import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TypeAlias

Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

OURS = ("app.", "config.", "models.", "monitoring.", "deployments.", "pipelines.", "tests.")
PLAIN = (OSError, TimeoutError, AttributeError, NameError, ImportError, TypeError)
"""Their messages are the system's own, with addresses and files, or name parts of the code."""

NAMED = r"(?P<named>\b(?:constraint|relation|column|table|index|function|type|kind|option) \"[\w.]+\")"
QUOTED = re.compile(rf"{NAMED}|\"[^\"]*\"|(?<!\w)'[^']*'|`[^`]*`|“[^”]*”")
OPEN = re.compile(r"(?<!\w)['\"`“]")
"""A quote whose end was cut off, or stood on another line."""

LONGEST = 300
LONGEST_CHAIN = 8


def told(error: BaseException) -> str:
    """The error's class and message; of a foreign message the first line, without what it quotes."""
    kind = type(error)
    message = str(error)
    if not (isinstance(error, PLAIN) or kind.__module__.startswith(OURS)):
        message = _unquoted(message.partition("\n")[0])[:LONGEST]
    return f"{kind.__name__}: {message}" if message else kind.__name__


def _unquoted(message: str) -> str:
    kept = QUOTED.sub(lambda found: (found["named"] or "[…]").replace('"', ""), message)
    return OPEN.split(kept)[0]


def rendered(exc_info: Raised) -> str:
    """A traceback as Python prints it, with `told` in place of messages."""
    parts = []
    for error in _chain(exc_info[1]):
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(error)}")
    return "\n\n".join(reversed(parts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, what caused that; of a group also its members."""
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < LONGEST_CHAIN:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
