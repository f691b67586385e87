"""Past tickets as files: JSON lines, gzipped or not, in the two shapes that there are."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.triage.text import ticket_text


class BadExamples(ValueError):
    """The file of examples cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    label: str
    queue: str | None


def read(file: Path) -> list[Example]:
    """Rows with `title text label`, or with `subject body intent queue`.

    Where a row has a queue and no intent, the queue is what is learnt.
    """
    found = [_example(row, f"{file}, line {number}") for number, row in _rows(file)]
    if not found:
        raise BadExamples(f"{file} has no examples")
    return found


def fingerprint(examples: list[Example]) -> str:
    """The same for the same examples, whatever file they came in."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example.text, example.label, example.queue]).encode())
    return digest.hexdigest()


def _rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadExamples(f"{file} cannot be read: {error}") from error
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadExamples(f"{file}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise BadExamples(f"{file}, line {number} is not a JSON object")
        rows.append((number, row))
    return rows


def _example(row: dict[str, Any], where: str) -> Example:
    title, body = row.get("title", row.get("subject", "")), row.get("text", row.get("body", ""))
    queue = row.get("queue")
    label = row.get("label") or row.get("intent") or queue
    texts = {"title": title, "text": body, "label": label}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise BadExamples(
            f"{where}: {', '.join(wrong)} missing or no text; needed are `title text label` or "
            "`subject body intent queue`"
        )
    return Example(ticket_text(title, body), str(label), queue)
