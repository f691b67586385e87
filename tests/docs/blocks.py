"""Command blocks of the documents, and who runs each: a comment on the line before it says so.

<!-- run -->                        by `make test`, with nothing else running
<!-- run: service -->               by `make test`, against the tests' running service
<!-- run by tests/e2e/test_x.py --> that test does what the block does, or runs it
<!-- needs a cluster -->            by nobody here
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.environment import CHECKOUT

COMMANDS = frozenset({"sh", "bash", "shell", "console", "python"})
FENCE = re.compile(r"(?:^<!-- ([^>]*) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"run|run: service|run by (?P<test>\S+)|needs a cluster")


@dataclass(frozen=True, slots=True)
class Block:
    """`mark` is what the comment before it says, if it says anything."""

    file: Path
    line: int
    language: str
    mark: str | None
    code: str

    @property
    def name(self) -> str:
        return f"{self.file.relative_to(CHECKOUT)}:{self.line}"

    @property
    def test(self) -> Path | None:
        """The test that is said to run it."""
        found = MARK.fullmatch(self.mark or "")
        return CHECKOUT / found["test"] if found and found["test"] else None


def documents() -> list[Path]:
    return [
        *sorted(CHECKOUT.glob("*.md")),
        *sorted((CHECKOUT / "docs").rglob("*.md")),
        CHECKOUT / "examples/README.md",
    ]


def blocks(file: Path) -> Iterator[Block]:
    """Its fenced blocks in a language of commands."""
    text = file.read_text()
    for found in FENCE.finditer(text):
        mark, language, code = found.groups()
        if language in COMMANDS:
            yield Block(file, text.count("\n", 0, found.start(3)), language, mark, code)


def everywhere(mark: str | None = None) -> list[Block]:
    """All of them, or those so marked."""
    found = [block for file in documents() for block in blocks(file)]
    return [block for block in found if mark is None or block.mark == mark]
