"""Documents of one file, by its kind.

JSON lines (also gzipped), CSV, Markdown, HTML, PDF, Word, plain text, zip archives of these, and sitemaps.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from models.loading import archives, docx, html, isolated, pdf, sitemap, tables
from models.loading.documents import Document, Problem
from models.loading.encoding import Unreadable, read_text
from models.loading.fields import BadField, document
from models.loading.limits import Limits, TooMuch

Loaded: TypeAlias = Iterator[Document | Problem]

DEFAULT = Limits()

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"\A\s*# +(.+?) *#*$", re.MULTILINE)


def read(path: Path, slug: str, limits: Limits = DEFAULT, *, isolate: bool = True) -> Loaded:
    """What `path` holds; a problem instead of each part that cannot be read. `slug` is for lone documents.

    What a stranger's file can do to its parser (PDF, Word, archives) it does in a process of its own, unless
    this is that process.
    """
    found = kind(path)
    try:
        if isolate and found in RISKY:
            yield from isolated.read(path, slug, limits)
        else:
            yield from KINDS[found](path, slug, limits)
    except (Unreadable, BadField, TooMuch, OSError, EOFError, zlib.error) as error:
        yield Problem(str(path), str(error))


def kind(path: Path) -> str:
    """The suffix that decides, such as `.md` or `.jsonl.gz`; empty where it is none of `KINDS`."""
    name = path.name.lower()
    return next((suffix for suffix in KINDS if name.endswith(suffix)), "")


def _json_lines(path: Path, _slug: str, limits: Limits) -> Loaded:
    for number, line in enumerate(_lines(path), start=1):
        if len(line) > limits.size:
            raise TooMuch(f"line {number} is longer than {limits.size:,} characters")
        if not line.strip():
            continue
        try:
            yield document(_object(line))
        except BadField as error:
            yield Problem(f"{path}:{number}", str(error))


def _lines(path: Path) -> Iterator[str]:
    """One line at a time, so that a large file needs little memory; bytes that are no UTF-8 show as �."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace") as lines:
            yield from lines
    except (OSError, EOFError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from error


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise BadField(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadField("not a JSON object")
    return value


def _markdown(path: Path, slug: str, _limits: Limits) -> Loaded:
    text = read_text(path).replace("\0", "")
    fields: dict[str, Any] = {}
    if match := _FRONT_MATTER.match(text):
        fields, text = _front_matter(match.group(1)), text[match.end() :]
    heading = _HEADING.match(text)
    yield _lone(path, fields, slug, heading.group(1) if heading else None, text)


def _front_matter(text: str) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BadField(f"front matter is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise BadField("front matter is not a list of fields")
    return fields


def _html(path: Path, slug: str, _limits: Limits) -> Loaded:
    text = read_text(path)
    title, body = html.page(text)
    yield _lone(path, {"language": html.language(text)}, slug, title, body)


def _text(path: Path, slug: str, _limits: Limits) -> Loaded:
    yield _lone(path, {}, slug, None, read_text(path).replace("\0", ""))


def _pdf(path: Path, slug: str, limits: Limits) -> Loaded:
    title, body = pdf.read(path, limits)
    yield _lone(path, {}, slug, title, body)


def _docx(path: Path, slug: str, limits: Limits) -> Loaded:
    title, body = docx.read(path, limits)
    yield _lone(path, {}, slug, title, body)


def _zip(path: Path, _slug: str, limits: Limits) -> Loaded:
    yield from archives.read(path, limits, kind, _inner)


def _sitemap(path: Path, _slug: str, limits: Limits) -> Loaded:
    yield from sitemap.read(path, limits, lambda page, slug, bounds: read(page, slug, bounds))


def _inner(path: Path, slug: str, limits: Limits) -> Loaded:
    """A member of an archive: it is in the archive's process already."""
    if kind(path) in ALONE:
        raise BadField("a sitemap has to be given on its own, beside its pages")
    return read(path, slug, limits, isolate=False)


def _lone(path: Path, fields: dict[str, Any], slug: str, title: str | None, body: str) -> Document:
    if not body.strip():
        raise BadField("is empty")
    return document(
        fields, slug=slug, title=title or path.stem.replace("-", " ").replace("_", " "), body=body
    )


KINDS: dict[str, Callable[[Path, str, Limits], Loaded]] = {
    ".jsonl.gz": _json_lines,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": tables.read_csv,
    ".tsv": tables.read_csv,
    ".pdf": _pdf,
    ".docx": _docx,
    ".zip": _zip,
    ".xml.gz": _sitemap,
    ".xml": _sitemap,
    ".markdown": _markdown,
    ".md": _markdown,
    ".html": _html,
    ".htm": _html,
    ".txt": _text,
}
RISKY = frozenset({".pdf", ".docx", ".zip"})
ALONE = frozenset({".xml", ".xml.gz"})
"""Sitemaps name pages that lie beside them: a folder that holds both is read once."""
