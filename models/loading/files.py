"""Documents of one file, by its kind: JSON lines (also gzipped), Markdown, HTML, plain text."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from models.loading import html
from models.loading.documents import Document, Problem
from models.loading.encoding import Unreadable, read_text
from models.loading.fields import BadField, document

Loaded: TypeAlias = Iterator[Document | Problem]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"\A\s*# +(.+?) *#*$", re.MULTILINE)


def read(path: Path, slug: str) -> Loaded:
    """What `path` holds; a problem instead of each part that cannot be read. `slug` is for lone documents."""
    try:
        yield from KINDS[kind(path)](path, slug)
    except (Unreadable, BadField, OSError, EOFError) as error:
        yield Problem(str(path), str(error))


def kind(path: Path) -> str:
    """The suffix that decides, such as `.md` or `.jsonl.gz`; empty where it is none of `KINDS`."""
    name = path.name.lower()
    return next((suffix for suffix in KINDS if name.endswith(suffix)), "")


def _json_lines(path: Path, _slug: str) -> Loaded:
    for number, line in enumerate(_lines(path), start=1):
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


def _markdown(path: Path, slug: str) -> Loaded:
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


def _html(path: Path, slug: str) -> Loaded:
    text = read_text(path)
    title, body = html.page(text)
    yield _lone(path, {"language": html.language(text)}, slug, title, body)


def _text(path: Path, slug: str) -> Loaded:
    yield _lone(path, {}, slug, None, read_text(path).replace("\0", ""))


def _lone(path: Path, fields: dict[str, Any], slug: str, title: str | None, body: str) -> Document:
    if not body.strip():
        raise BadField("is empty")
    return document(
        fields, slug=slug, title=title or path.stem.replace("-", " ").replace("_", " "), body=body
    )


KINDS: dict[str, Callable[[Path, str], Loaded]] = {
    ".jsonl.gz": _json_lines,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".markdown": _markdown,
    ".md": _markdown,
    ".html": _html,
    ".htm": _html,
    ".txt": _text,
}
