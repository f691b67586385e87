"""What an indexing run did, for people and as JSON."""

import time
from dataclasses import dataclass, field
from typing import Any

from app.knowledge.planning import Skipped, Unchanged, Work
from models.loading.documents import Problem


@dataclass(slots=True)
class Summary:
    """`chunks` are those of all documents read, `embedded` those that had to be."""

    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    deleted: int = 0
    deleted_documents: int = 0
    skipped: list[Problem] = field(default_factory=list)
    seconds: float = 0.0
    startup_seconds: float = 0.0
    _first: float = float("inf")
    _last: float = 0.0
    _start: float = field(default_factory=time.monotonic)

    def note(self, item: Work | Unchanged | Skipped) -> None:
        match item:
            case Skipped():
                self.skipped.append(item.problem)
            case Unchanged():
                self.documents += 1
                self.chunks += item.chunks
            case Work():
                self.documents += 1
                self.chunks += len(item.change.chunks)
                self.embedded += len(item.fresh)
                self.deleted += len(item.change.gone)
                if item.vectors is not None:
                    start, end = item.embedded_between
                    self._first, self._last = min(self._first, start), max(self._last, end)

    def started(self) -> None:
        """Everything is up; what follows is work."""
        self.startup_seconds = time.monotonic() - self._start

    def ended(self) -> None:
        self.seconds = time.monotonic() - self._start

    @property
    def chunks_per_s(self) -> float:
        """While the embedders were at it: from the first batch's start to the last one's end."""
        return self.embedded / (self._last - self._first) if self._last > self._first else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "chunks": self.chunks,
            "embedded": self.embedded,
            "deleted": self.deleted,
            "deleted_documents": self.deleted_documents,
            "skipped": [{"where": each.where, "reason": each.reason} for each in self.skipped],
            "seconds": round(self.seconds, 2),
            "startup_seconds": round(self.startup_seconds, 2),
            "chunks_per_s": round(self.chunks_per_s, 1),
        }
