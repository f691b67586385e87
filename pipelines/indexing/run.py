"""Indexes sources: reads and cuts them, embeds what changed on Ray Data, writes it to both stores."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from app import db
from app.knowledge import indexing, versions
from app.knowledge.planning import Stored, Work
from app.knowledge.schemas import Index
from app.knowledge.writing import Writer
from config.environment import Environment
from config.profile import Profile
from models.embedding.opening import parse
from models.loading.documents import SourceError
from models.loading.sources import Source
from models.retrieval.chunking import Chunking
from models.retrieval.store import VectorStore
from pipelines.indexing.compute import Compute, Item
from pipelines.indexing.seen import Seen
from pipelines.indexing.stages import EmbedderOptions
from pipelines.indexing.summary import Summary

PAGE = 2_000
"""Articles read from PostgreSQL at once, about 10 MB: memory stays flat however many there are."""
THREADS = 1
"""Of an embedder: there are as many of them as cores."""

Progress: TypeAlias = Callable[[Summary], None]


def _silent(_: Summary) -> None:
    pass


class TooManyChunks(RuntimeError):
    """The embedded vector store is full; name a Milvus cluster in MILVUS_URI."""


class Unfinished(RuntimeError):
    """The time given to this run is over; run it again to go on."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides how an index is made."""

    index: str
    embedder: EmbedderOptions
    dimensions: int
    chunking: Chunking

    @classmethod
    def of(cls, profile: Profile, environment: Environment) -> "Settings":
        embedder, retrieval = profile.embedder, profile.retrieval
        return cls(
            index=retrieval.collection,
            embedder=EmbedderOptions(
                environment.models / embedder.model,
                embedder.precision,
                THREADS,
                embedder.max_tokens,
                signs=profile.signs_of == embedder.model,
            ),
            dimensions=embedder.dimensions,
            chunking=Chunking(retrieval.chunk_tokens, retrieval.chunk_overlap_sentences),
        )

    @classmethod
    def of_index(cls, index: Index, profile: Profile, environment: Environment) -> "Settings":
        """How this index is made; `ValueError` where it was made in a way this code does not know."""
        model, precision, max_tokens = parse(index.embedder)
        return cls(
            index=index.name,
            embedder=EmbedderOptions(
                environment.models / model,
                precision,
                THREADS,
                max_tokens,
                signs=profile.signs_of == model,
            ),
            dimensions=index.dimensions,
            chunking=Chunking.parse(index.chunker),
        )

    @property
    def description(self) -> dict[str, Any]:
        options = self.embedder
        return {
            "embedder": f"{options.folder.name}:{options.precision}:{options.max_tokens}",
            "dimensions": self.dimensions,
            "chunker": self.chunking.version,
        }


@dataclass(slots=True)
class Run:
    """One run over both stores; `compute` turns items into results, on Ray or in this process.

    `limit` is how many chunks the vector store may hold.
    """

    pool: db.Pool
    store: VectorStore
    settings: Settings
    compute: Compute
    summary: Summary
    limit: int | None = None
    progress: Progress = _silent
    until: float = math.inf
    """When to stop, by `time.monotonic`; what was written stays, and the next run goes on from there."""

    async def index(self, sources: Sequence[Source], *, full: bool = False) -> None:
        """Bring the index up to date; with `full`, articles that vanished from these sources go.

        Raises `SourceError` where a source holds no document: then nothing is deleted.
        """
        parts = [part for source in sources for part in source.parts()]
        async with self.pool.acquire(timeout=5) as held, indexing.only_writer(held, self.settings.index):
            writer = Writer(self.pool, self.store, self.settings.index)
            stored = await self._stored(held, writer, always=full)
            seen = Seen()
            await self._pass(writer, parts, stored, seen)
            _insist(sources, seen, self.summary)
            if full:
                await self._forget(writer, stored, {source.key for source in sources} - seen.incomplete, seen)
            await self._rest(held, writer, stored, seen)
            await self.store.flush()
            await indexing.settle_index(held, self.settings.index, **self.settings.description)

    async def catch_up(self) -> None:
        """Bring the index up to date with the articles in PostgreSQL: what it holds already is kept.

        A build that was killed goes on like this; what had been written is not embedded again.
        """
        await self.index([])

    async def _rest(self, held: db.Connection, writer: Writer, stored: Stored, seen: Seen) -> None:
        """What the sources did not bring: edits made elsewhere, vectors that were lost."""
        keys = {key for key, known in stored.items() if known.unembedded}
        keys |= set(await versions.stale(held, self.settings.index))
        wanted = sorted(keys - seen.documents)
        for start in range(0, len(wanted), PAGE):
            documents = await indexing.documents(held, wanted[start : start + PAGE])
            await self._pass(writer, documents, stored, seen, from_source=False)

    async def _stored(self, held: db.Connection, writer: Writer, *, always: bool) -> Stored:
        """What is stored, and which of its vectors are missing or of another embedder."""
        await self.store.ensure(self.settings.dimensions)
        same = await indexing.ensure_index(held, self.settings.index, **self.settings.description)
        missing = await writer.sweep(always=always)
        stored = await indexing.known(held, self.settings.index)
        return {
            key: replace(known, unembedded=known.chunk_ids & missing if same else known.chunk_ids)
            for key, known in stored.items()
        }

    async def _pass(
        self, writer: Writer, items: Sequence[Item], stored: Stored, seen: Seen, *, from_source: bool = True
    ) -> None:
        for results in self.compute(items, stored):
            new = [each for each in results if seen.note(each, self.summary)]
            works = [each for each in new if isinstance(each, Work)]
            await self._check_room(works, stored)
            await writer.write(works, from_source=from_source)
            for each in new:
                self.summary.note(each)
            self.progress(self.summary)
            if time.monotonic() > self.until:
                raise Unfinished

    async def _check_room(self, works: Sequence[Work], stored: Stored) -> None:
        if self.limit is None or not works:
            return
        async with self.pool.acquire(timeout=5) as conn:
            there = await indexing.count(conn, self.settings.index)
        for work in works:
            known = stored.get((work.change.source, work.change.document.slug))
            there += len(work.change.chunks) - (len(known.chunk_ids) if known else 0)
        if there > self.limit:
            raise TooManyChunks(
                f"the embedded vector store holds {self.limit:,} chunks at most and this would be more;"
                " set MILVUS_URI to a Milvus cluster. What was indexed so far can be used."
            )

    async def _forget(self, writer: Writer, stored: Stored, keys: set[str], seen: Seen) -> None:
        vanished = [known for key, known in stored.items() if key[0] in keys and key not in seen.documents]
        await writer.forget(vanished)
        self.summary.deleted_documents += len(vanished)
        self.summary.deleted += sum(len(known.chunk_ids) for known in vanished)
        for key in [key for key in stored if key[0] in keys and key not in seen.documents]:
            seen.documents.add(key)


def _insist(sources: Sequence[Source], seen: Seen, summary: Summary) -> None:
    """Every source must hold something: an empty file is a mistake, not a wish to delete everything."""
    there = {source for source, _ in seen.documents}
    for source in sources:
        if source.key not in there:
            why = f" ({summary.skipped[0]})" if summary.skipped else ""
            raise SourceError(f"{source.path}: no document in it{why}")
