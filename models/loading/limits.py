"""How much one file may be, hold and cost, so that nobody's upload takes the service down."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """For one file and all that is inside it. Sizes are bytes."""

    size: int = 20 << 20
    pages: int = 500
    members: int = 2_000
    unpacked: int = 200 << 20
    ratio: int = 200
    """Unpacked against packed size of a member: text packs 3 to 10 times smaller, a bomb 1,000 times."""
    nesting: int = 2
    documents: int = 20_000
    seconds: float = 60.0
    memory: int = 1 << 30
    """Of the parser's process. A PDF of 500 pages takes about 300 MiB."""


class TooMuch(ValueError):
    """A file is over one of its limits; the message says which."""
