"""Brings one index up to date with the articles, a few at a time: what an edit or an upload leads to.

Only chunks whose text changed are embedded. For thousands of articles there is `pipelines.index`.
"""

from app import db
from app.knowledge import indexing, versions
from app.knowledge.planning import Work, plan
from app.knowledge.writing import Writer
from models.embedding.protocol import Embedder
from models.retrieval.chunking import Chunking, Sizer
from models.retrieval.store import VectorStore

ARTICLES = 8
"""Read, embedded and written together: about a second of embedding."""


class Updater:
    """`count` and `embedder` are those that the index `name` is made with.

    With `signs` late interaction reads by the same model: what it reads is written too.
    """

    def __init__(
        self,
        pool: db.Pool,
        store: VectorStore,
        name: str,
        *,
        embedder: Embedder,
        count: Sizer,
        chunking: Chunking,
        signs: bool = False,
    ) -> None:
        self._pool = pool
        self._store = store
        self._name = name
        self._embedder = embedder
        self._count = count
        self._chunking = chunking
        self._signs = signs

    async def catch_up(self) -> int:
        """How many chunks were embedded."""
        writer, embedded, before = Writer(self._pool, self._store, self._name), 0, list[tuple[str, str]]()
        while keys := await self._stale():
            if keys == before:  # edited again and again while it was embedded: the next job has it
                break
            works = await self._planned(before := keys)
            for work in works:
                if work.fresh:
                    await self._embed(work)
                embedded += len(work.fresh)
            await writer.write(works, from_source=False)
        return embedded

    async def _embed(self, work: Work) -> None:
        if not self._signs:
            work.vectors = await self._embedder.embed(work.texts)
            return
        work.vectors, signs = await self._embedder.read(work.texts)
        work.signs, work.signs_of = tuple(signs), self._embedder.name

    async def _stale(self) -> list[tuple[str, str]]:
        async with self._pool.acquire(timeout=5) as conn:
            return await versions.stale(conn, self._name, ARTICLES)

    async def _planned(self, keys: list[tuple[str, str]]) -> list[Work]:
        async with self._pool.acquire(timeout=5) as conn:
            stored = await indexing.known_among(conn, self._name, keys)
            documents = await indexing.documents(conn, keys)
        found = [
            plan(source, document, stored, count=self._count, chunking=self._chunking)
            for source, document in documents
        ]
        return [each for each in found if isinstance(each, Work)]

    async def close(self) -> None:
        await self._store.close()
