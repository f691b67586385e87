"""Past tickets as files: JSON lines, gzipped or not, in the two shapes that there are."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from models.triage.protocol import PRIORITIES, SENTIMENTS, Priority, Sentiment
from models.triage.text import Ticket


class BadExamples(ValueError):
    """The file of examples cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Example:
    ticket: Ticket
    label: str
    queue: str | None = None
    priority: Priority | None = None
    sentiment: Sentiment | None = None
    ticket_id: UUID | None = None
    """Of a ticket of the desk; files have none."""


def read(file: Path) -> list[Example]:
    """Rows with `title text label`, or with `subject body intent queue priority`, oldest first.

    Where a row has a queue and no intent, the queue is what is learnt.
    """
    found = [_example(row, f"{file}, line {number}") for number, row in _rows(file)]
    if not found:
        raise BadExamples(f"{file} has no examples")
    return found


def write(examples: Sequence[Example], file: Path) -> None:
    """As `read` reads them."""
    with gzip.open(file, "wt", encoding="utf-8") as out:
        for each in examples:
            out.write(json.dumps(_row(each), ensure_ascii=False) + "\n")


def fingerprint(examples: Sequence[Example]) -> str:
    """The same for the same examples, whatever file they came in."""
    digest = hashlib.sha256()
    for each in examples:
        digest.update(json.dumps(_row(each), sort_keys=True).encode())
    return digest.hexdigest()


def _row(each: Example) -> dict[str, str | None]:
    return {
        "subject": each.ticket.subject,
        "body": each.ticket.body,
        "label": each.label,
        "queue": each.queue,
        "priority": each.priority,
        **({"sentiment": each.sentiment} if each.sentiment else {}),
    }


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
    queue, priority, sentiment = row.get("queue"), row.get("priority"), row.get("sentiment")
    label = row.get("label") or row.get("intent") or queue
    texts = {"title": title, "text": body, "label": label}
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise BadExamples(
            f"{where}: {', '.join(wrong)} missing or no text; needed are `title text label` or "
            "`subject body intent queue`"
        )
    _one_of(PRIORITIES, "priority", priority, where)
    _one_of(SENTIMENTS, "sentiment", sentiment, where)
    return Example(Ticket(title, body), str(label), queue, priority, sentiment)


def _one_of(names: Sequence[str], field: str, value: object, where: str) -> None:
    if value is not None and value not in names:
        raise BadExamples(f"{where}: {field} {value!r} is none of {', '.join(names)}")
