"""The two stages that run in Ray actors. They know nothing of Ray: each is a callable on batches."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.knowledge.planning import Skipped, Stored, Unchanged, Work, plan
from models.embedding import opening
from models.embedding.opening import Precision, open_encoder
from models.embedding.protocol import Encoder, Vectors
from models.loading.documents import Document, Problem
from models.loading.sources import Part
from models.retrieval.chunking import Chunking, sizer

Batch = dict[str, np.ndarray[Any, Any]]
DOCUMENTS = 8
"""Documents in one batch between stages: about a second of embedding."""


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    folder: Path
    precision: Precision
    threads: int
    max_tokens: int
    signs: bool = False
    """Whether the tokens' signs are wanted too: for late interaction by the same model."""

    def check(self) -> None:
        """Raise `ModelNotFound` where the model is not prepared."""
        opening.check(self.folder, self.precision)

    def open(self) -> Encoder:
        return open_encoder(self.folder, self.precision, threads=self.threads, max_tokens=self.max_tokens)


class Cut:
    """Reads files and cuts what changed in them."""

    def __init__(self, options: EmbedderOptions, stored: Stored, chunking: Chunking) -> None:
        self._stored = stored
        self._chunking = chunking
        self._count = sizer(options.folder / "tokenizer.json")

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        results: list[Any] = []
        for item in batch["item"]:
            for result in self._results(item):
                results.append(result)
                if len(results) == DOCUMENTS:
                    yield column(results)
                    results = []
        if results:
            yield column(results)

    def _results(self, item: Part | tuple[str, Document]) -> Iterator[Work | Unchanged | Skipped]:
        source, found = (item.source, item.read()) if isinstance(item, Part) else (item[0], iter([item[1]]))
        for each in found:
            if isinstance(each, Problem):
                yield Skipped(source, each)
            else:
                yield plan(source, each, self._stored, count=self._count, chunking=self._chunking)


class Embed:
    """Embeds the chunks that need it; all else passes through."""

    def __init__(self, options: EmbedderOptions) -> None:
        self._model = options.open()
        self._signs = options.signs

    def __call__(self, batch: Batch) -> Batch:
        works = [each for each in batch["item"] if isinstance(each, Work) and each.fresh]
        start = time.time()
        vectors, signs = self._read([text for work in works for text in work.texts])
        between, position = (start, time.time()), 0
        for work in works:
            own = slice(position, position + len(work.fresh))
            work.vectors, work.signs, work.signs_of = vectors[own], tuple(signs[own]), self._model.name
            work.embedded_between = between
            position += len(work.fresh)
        return column(list(batch["item"]))

    def _read(self, texts: list[str]) -> tuple[Vectors, list[bytes]]:
        return self._model.read(texts) if self._signs else (self._model.encode(texts), [])


def column(items: list[Any]) -> Batch:
    """One column of objects; an array made the usual way would take lists apart."""
    values = np.empty(len(items), dtype=object)
    values[:] = items
    return {"item": values}
