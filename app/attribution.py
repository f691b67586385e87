"""Who acts, from where and because of what: PostgreSQL is told with each BEGIN, its triggers write it down.

One setting of the transaction (`eservice.by`), in the same round trip as BEGIN: nothing is left on the
connection for the next one, also behind a pgbouncer in transaction mode.
"""

import getpass
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

UNFIT = re.compile(r"[^A-Za-z0-9_.:@/+-]")
"""What a part of the setting may not have: quotes, which would end it, and spaces, which part it."""
LONGEST = 200
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Attribution:
    """`actor` is `user:` and an id, `anonymous`, `system:` and a kind of job, or `command:` and a module."""

    actor: str
    address: str | None = None
    cause: str | None = None
    """`request:` and the X-Request-ID, or `job:` and its id."""
    api_key: str | None = None

    @property
    def statement(self) -> str:
        """What makes it the transaction's own."""
        parts = (self.actor, self.api_key, self.address, self.cause)
        said = " ".join(UNFIT.sub("_", part or NOTHING)[:LONGEST] for part in parts)
        return f"SET LOCAL eservice.by = '{said}';"


_current: ContextVar[Attribution | None] = ContextVar("attribution", default=None)


def current() -> Attribution:
    """Who acts in this task; where nobody said so, the program that runs."""
    return _current.get() or program()


def act(attribution: Attribution) -> None:
    """For the rest of this task, or of the `acting` around it."""
    _current.set(attribution)


@contextmanager
def acting(attribution: Attribution) -> Iterator[None]:
    before = _current.get()
    _current.set(attribution)
    try:
        yield
    finally:
        _current.set(before)  # not by token: a generator may be closed in another context


@cache
def program() -> Attribution:
    """`command:pipelines.index` for `python -m pipelines.index`, and who ran it where; else the service."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None:
        return Attribution("system:eservice")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    name = spec.name.removesuffix(".__main__")
    return Attribution(f"command:{name}", address=f"{user}@{socket.gethostname()}")
