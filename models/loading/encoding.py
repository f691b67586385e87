"""Reads a file's text, whatever encoding it is in."""

from pathlib import Path

from charset_normalizer import from_bytes


class Unreadable(ValueError):
    """The file cannot be read, or is no text."""


def read_text(path: Path) -> str:
    """The file's text. UTF-8 is tried first; otherwise the encoding is guessed from what it holds."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        best = from_bytes(content).best()
    if best is None or (b"\0" in content and not best.encoding.startswith("utf")):
        raise Unreadable("not a text file")
    return str(best)
