"""Tables as Markdown, and CSV files: a document a row where the header says so, else one table."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.loading.documents import Document, Problem
from models.loading.encoding import read_text
from models.loading.fields import BODIES, BadField, document
from models.loading.limits import Limits, TooMuch

csv.field_size_limit(1 << 20)


def markdown_table(rows: Sequence[Sequence[str | None]]) -> str:
    """The first row is the header; short rows are filled up."""
    width = max(map(len, rows), default=0)
    lines = [_line([*map(_cell, row), *[""] * (width - len(row))]) for row in rows]
    return "\n".join([*lines[:1], _line(["---"] * width), *lines[1:]])


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read_csv(path: Path, slug: str, limits: Limits) -> Iterator[Document | Problem]:
    """Rows are documents where a column is called like a body (`text`, `answer`), else lines of a table."""
    rows = _rows(read_text(path).replace("\0", ""), limits)
    if not rows:
        raise BadField("is empty")
    (_, first), *others = rows.items()
    header = [name.strip().lower().replace(" ", "_") for name in first]
    if not set(header) & set(BODIES):
        title = path.stem.replace("-", " ").replace("_", " ")
        yield document({}, slug=slug, title=title, body=markdown_table([first, *(row for _, row in others)]))
        return
    for number, row in others:
        fields = {name: value for name, value in zip(header, row, strict=False) if value.strip()}
        try:
            yield document(_listed(fields), slug=f"{slug}/{number}")
        except BadField as error:
            yield Problem(f"{path}:{number}", str(error))


def _listed(fields: dict[str, str]) -> dict[str, object]:
    """A cell holds several products, topics or teams between `;`s."""
    several = {"products", "product", "topics", "topic", "tags", "teams", "team"}
    return {
        name: [each.strip() for each in value.split(";")] if name in several else value
        for name, value in fields.items()
    }


def _rows(text: str, limits: Limits) -> dict[int, list[str]]:
    """Lines by their number, without empty ones; what the first line has most of separates cells."""
    first = text.lstrip().partition("\n")[0]
    separator = max(",;\t|", key=first.count)
    rows: dict[int, list[str]] = {}
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows[reader.line_num] = row
            if len(rows) > limits.documents:
                raise TooMuch(f"has more than {limits.documents:,} rows")
    except csv.Error as error:
        raise BadField(f"is no CSV: {error}") from error
    return rows
