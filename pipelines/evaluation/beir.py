"""Reads a BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv`."""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


class DatasetError(ValueError):
    """The folder is not a BEIR data set; the message says what is missing or wrong, and where."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the gain of each document that answers it."""

    id: str
    text: str
    gains: dict[str, int]


@dataclass(frozen=True, slots=True)
class Dataset:
    """`queries` are those with judgements, in ascending order of their ids."""

    corpus: Path
    queries: tuple[Query, ...]

    @classmethod
    def read(cls, folder: Path) -> "Dataset":
        corpus, queries, qrels = (
            folder / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
        )
        for file in (corpus, queries, qrels):
            if not file.is_file():
                raise DatasetError(
                    f"{file}: no such file; a data set has corpus.jsonl, queries.jsonl, qrels/test.tsv"
                )
        gains = _gains(qrels)
        found = [Query(each, text, gains[each]) for each, text in _texts(queries) if each in gains]
        if not found:
            raise DatasetError(f"{folder}: no query has a judgement")
        return cls(corpus, tuple(sorted(found, key=lambda query: _order(query.id))))


def _order(identifier: str) -> tuple[int, int, str]:
    """Numbers by value and before names."""
    return (0, int(identifier), "") if identifier.isdecimal() else (1, 0, identifier)


def _texts(file: Path) -> list[tuple[str, str]]:
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            found.append((str(row["_id"]), str(row["text"])))
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{file}:{number}: not a query with _id and text ({error})") from error
    return found


def _gains(file: Path) -> dict[str, dict[str, int]]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t"), start=1):
            try:
                query, document, gain = row
                if number == 1 and not gain.lstrip("-").isdecimal():
                    continue  # the header
                if int(gain) > 0:
                    found[query][document] = int(gain)
            except ValueError as error:
                raise DatasetError(f"{file}:{number}: not query, document and score ({error})") from error
    return found
