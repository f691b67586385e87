"""PDF as Markdown: paragraphs put together again, headings by their size, tables as tables.

It has no layout of its own to go by: a PDF knows characters and places. What is scanned holds no text, and
is said to.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pdfplumber
from pdfminer.pdfdocument import PDFPasswordIncorrect
from pdfplumber.utils.exceptions import PdfminerException

from models.loading.encoding import Unreadable
from models.loading.limits import Limits, TooMuch
from models.loading.tables import markdown_table

HEADING = 1.15
"""Times the size of most of the text, from which a short line is a heading."""
HEADING_CHARACTERS = 120
PARAGRAPH_GAP = 0.7
"""Blank between two lines, in heights of a line, from which a new paragraph begins."""
RUNNING = 0.6
"""Share of pages from which a first or last line that repeats is a running header, not text."""
_BULLET = re.compile(r"^[•‣▪●◦·*–-]\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or a whole table (`size` 0); places in points from the top of its page."""

    text: str
    page: int
    top: float
    bottom: float
    size: float


def read(path: Path, limits: Limits) -> tuple[str, str]:
    """Title (may be empty) and Markdown."""
    try:
        with pdfplumber.open(path) as pdf:
            if len(pdf.pages) > limits.pages:
                raise TooMuch(f"has {len(pdf.pages):,} pages; {limits.pages:,} are taken at most")
            lines = [line for number, page in enumerate(pdf.pages) for line in _lines(page, number)]
            title = str((pdf.metadata or {}).get("Title") or "").strip()
            lines = list(_without_running(lines, len(pdf.pages)))
    except PdfminerException as error:
        locked = any(isinstance(each, PDFPasswordIncorrect) for each in error.args)
        raise Unreadable("is protected by a password" if locked else "is no readable PDF") from error
    if not lines:
        raise Unreadable("holds no text; a scanned page has to be recognised (OCR) first")
    body = _markdown(lines)
    heading = re.match(r"# (.+)", body)
    return (heading.group(1) if heading else title), body


def _lines(page: Any, number: int) -> Iterator[Line]:
    """The page's lines and tables from top to bottom; what stands in a table is not a line as well."""
    tables = [table for table in page.find_tables() if len(table.rows) > 1]
    boxes = [table.bbox for table in tables]

    def outside(thing: dict[str, Any]) -> bool:
        x, y = (thing["x0"] + thing["x1"]) / 2, (thing["top"] + thing["bottom"]) / 2
        return not any(x0 <= x <= x1 and top <= y <= bottom for x0, top, x1, bottom in boxes)

    found = [
        Line(markdown_table(table.extract()), number, table.bbox[1], table.bbox[3], 0.0) for table in tables
    ]
    rest = page.filter(outside) if boxes else page
    for line in rest.extract_text_lines(strip=True):
        sizes = Counter(round(char["size"], 1) for char in line["chars"])
        if text := " ".join(line["text"].split()):
            found.append(Line(text, number, line["top"], line["bottom"], sizes.most_common(1)[0][0]))
    page.close()
    yield from sorted(found, key=lambda line: line.top)


def _without_running(lines: Sequence[Line], pages: int) -> Iterator[Line]:
    """Without headers and footers that stand on most pages, page numbers among them."""
    ends = [group for n in range(pages) if (group := [line for line in lines if line.page == n])]
    seen = Counter(_shape(line) for group in ends for line in {group[0], group[-1]})
    for line in lines:
        if pages < 3 or not line.size or seen[_shape(line)] < RUNNING * pages:
            yield line


def _shape(line: Line) -> tuple[str, float]:
    return re.sub(r"\d+", "0", line.text), round(line.top, -1)


def _markdown(lines: Sequence[Line]) -> str:
    weights: Counter[float] = Counter()
    for line in lines:
        weights[line.size] += len(line.text) if line.size else 0
    body = weights.most_common(1)[0][0] if weights.total() else 0.0
    larger = sorted({line.size for line in lines if _is_heading(line, body)}, reverse=True)
    levels = {size: min(level, 4) for level, size in enumerate(larger, start=1)}
    parts: list[str] = []
    before: Line | None = None
    for line in lines:
        if line.size in levels and _is_heading(line, body):
            parts.append(f"\n\n{'#' * levels[line.size]} {line.text}")
        elif not line.size:
            parts.append(f"\n\n{line.text}\n\n")
        else:
            parts.append(_joined(before, line))
        before = line
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _is_heading(line: Line, body: float) -> bool:
    return line.size > HEADING * body and len(line.text) <= HEADING_CHARACTERS


def _joined(before: Line | None, line: Line) -> str:
    """How `line` goes on: a new item, a new paragraph, or the same one."""
    if _BULLET.match(line.text):
        return "\n- " + _BULLET.sub("", line.text)
    text = re.sub(r"^([#>|])", r"\\\1", line.text)
    if before is None or before.size != line.size:
        return "\n\n" + text
    if before.page == line.page and line.top - before.bottom > PARAGRAPH_GAP * (line.bottom - line.top):
        return "\n\n" + text
    return " " + text
