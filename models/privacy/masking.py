"""Takes personal data out of a text that is kept for others to learn from.

It masks what has a shape (addresses, numbers, links with what follows the host) and the names it is told.
What it cannot know is a name that nobody told it.
"""

import re
from collections.abc import Iterable

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("[email]", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("[link]", re.compile(r"(?i)\b(?:https?|ftp)://[^\s/?#]+[/?#][^\s<>\"')\]]+")),
    ("[iban]", re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b")),
    ("[address]", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?!\.\d)")),
    ("[number]", re.compile(r"(?<![\w.])\+?\d(?:[ ().-]{0,2}\d){6,18}(?![\w.]?\d)")),
    ("[token]", re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9_-]{24,}\b")),
)
LEAST_NAME = 3
"""Letters: shorter parts of a name are words too often."""


def masked(text: str, names: Iterable[str] = ()) -> str:
    """`text` with placeholders for what points to a person; `names` are whole names, their parts count too.

    Parts of names are matched as whole words with their capitals: "Will" goes, "will" stays.
    """
    for placeholder, shape in _SHAPES:
        text = shape.sub(placeholder, text)
    for name in _parts(names):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "[name]", text)
    return text


def _parts(names: Iterable[str]) -> list[str]:
    """Whole names first, so that one placeholder stands for all of them."""
    whole = [name.strip() for name in names if len(name.strip()) >= LEAST_NAME]
    return whole + [part for name in whole for part in name.split() if len(part) >= LEAST_NAME]
