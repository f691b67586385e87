"""What the command lines print: tables and progress for people, one clear line for what went wrong."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

EVERY_S = 5.0
"""Between two lines of progress where there is no terminal."""

_out = Console()
_err = Console(stderr=True)


def table(title: str, rows: Mapping[str, object]) -> None:
    shown = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        shown.add_row(name, text)
    _out.print(shown)


def warn(text: str) -> None:
    _err.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def failed(error: object) -> int:
    """Say it in one line; the exit status to end with."""
    _err.print(" ".join(str(error).split()), style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """A line that changes on a terminal; elsewhere a new one every few seconds."""
    if _err.is_terminal:
        with _err.status(title) as status:
            yield lambda text: status.update(f"{title}: {text}")
        return
    last = time.monotonic()

    def line(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            _err.print(f"{title}: {text}", highlight=False, soft_wrap=True)

    yield line
