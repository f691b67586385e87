"""What passes through the indexing pipeline, and how it is decided what has to be embedded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.knowledge.indexing import Change, Known, article_id, attributes
from models.loading.documents import Document, Problem
from models.retrieval.chunking import Chunking, Sizer, chunk

Stored = Mapping[tuple[str, str], Known]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A document that is stored as it is."""

    key: tuple[str, str]
    chunks: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a source that could not be read."""

    source: str
    problem: Problem


@dataclass(slots=True)
class Work:
    """A changed document; `vectors` has a row for each chunk id in `fresh`, once they are embedded.

    So has `signs`, of their tokens as `signs_of` made them, where late interaction is to read them.
    """

    change: Change
    fresh: tuple[str, ...]
    vectors: NDArray[np.float32] | None = None
    signs: tuple[bytes, ...] = ()
    signs_of: str = ""
    embedded_between: tuple[float, float] = field(default=(0.0, 0.0))

    @property
    def key(self) -> tuple[str, str]:
        return self.change.source, self.change.document.slug

    @property
    def texts(self) -> list[str]:
        wanted = set(self.fresh)
        return [each.embedded for each in self.change.chunks if each.id in wanted]


Result: TypeAlias = Work | Unchanged | Skipped


def content_hash(document: Document) -> str:
    return hashlib.sha256(json.dumps(asdict(document), sort_keys=True).encode()).hexdigest()


def plan(
    source: str, document: Document, stored: Stored, *, count: Sizer, chunking: Chunking
) -> Work | Unchanged:
    """Cut `document` if it changed, and keep of it what is embedded already."""
    digest = content_hash(document)
    known = stored.get((source, document.slug))
    if known and known.content_hash == digest and not known.unembedded:
        return Unchanged((source, document.slug), len(known.chunk_ids))
    text = f"{document.summary}\n\n{document.body}" if document.summary else document.body
    key = f"{source}/{document.slug}"
    chunks = tuple(chunk(key, document.title, text, count=count, chunking=chunking))
    before = known.chunk_ids if known else frozenset()
    # The vector store repeats who may see a chunk: where that changed, every vector is written again.
    same_readers = known is not None and known.attributes == attributes(document)
    kept = before - known.unembedded if known and same_readers else frozenset()
    change = Change(
        article_id=known.article_id if known else article_id(source, document.slug),
        source=source,
        document=document,
        content_hash=digest,
        chunks=chunks,
        gone=tuple(sorted(before - {each.id for each in chunks})),
    )
    return Work(change, tuple(each.id for each in chunks if each.id not in kept))
