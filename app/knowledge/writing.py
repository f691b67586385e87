"""Writes what was embedded, in an order that a crash cannot spoil.

First the new vectors, then PostgreSQL in one transaction, then the old vectors go. What a crash leaves is
vectors that no chunk names: they are never shown, and the next run sweeps them. PostgreSQL never names a
vector that was not written; should the store lose some, the next run embeds them again.
"""

from collections.abc import Sequence
from uuid import UUID

from app import db
from app.db import Connection
from app.knowledge import indexing, signs
from app.knowledge.indexing import Known
from app.knowledge.planning import Work
from models.retrieval.bm25 import document_vector
from models.retrieval.store import Record, VectorStore


class Writer:
    def __init__(self, pool: db.Pool, store: VectorStore, index: str) -> None:
        self._pool = pool
        self._store = store
        self._index = index

    async def write(self, works: Sequence[Work], *, from_source: bool = True) -> None:
        """`from_source`: the articles themselves are new; else only what the index holds of them is."""
        if not works:
            return
        await self._store.upsert([record for work in works for record in records(work)])
        async with db.transaction(self._pool) as conn:
            changes = [work.change for work in works]
            if from_source:
                await indexing.put_articles(conn, changes)
            else:
                changes = await indexing.unchanged(conn, changes)
            await indexing.write(conn, self._index, changes)
            await self._put_signs(conn, [work for work in works if work.change in changes])
        await self._store.delete([chunk_id for change in changes for chunk_id in change.gone])

    async def _put_signs(self, conn: Connection, works: Sequence[Work]) -> None:
        """In place of those of all chunks that are gone or were embedded anew."""
        found = [
            (chunk_id, work.change.article_id, read)
            for work in works
            for chunk_id, read in zip(work.fresh, work.signs, strict=bool(work.signs))
        ]
        model = works[0].signs_of if works else ""
        old = [chunk_id for work in works for chunk_id in (*work.change.gone, *work.fresh)]
        await signs.replace(conn, self._index, old, model, found)

    async def forget(self, articles: Sequence[Known]) -> None:
        """Delete articles that vanished from their source."""
        if not articles:
            return
        ids: list[UUID] = [article.article_id for article in articles]
        async with db.transaction(self._pool) as conn:
            await indexing.forget(conn, ids)
        await self._store.delete([chunk_id for article in articles for chunk_id in article.chunk_ids])

    async def sweep(self, *, always: bool = False) -> set[str]:
        """Delete vectors that no chunk names; the ids of chunks that have no vector.

        Looks at all ids only where the two counts differ, or `always`.
        """
        async with self._pool.acquire(timeout=5) as conn:
            if not always and await self._store.count() == await indexing.count(conn, self._index):
                return set()
            named = await indexing.chunk_ids(conn, self._index)
        there = await self._store.ids()
        if orphans := there - named:
            await self._store.delete(sorted(orphans))
        return named - there


def records(work: Work) -> list[Record]:
    """What the vector store keeps of the chunks that were embedded."""
    if work.vectors is None:
        return []
    document = work.change.document
    chunks = {chunk.id: chunk for chunk in work.change.chunks}
    return [
        Record(
            chunk_id=chunk_id,
            article_id=str(work.change.article_id),
            audiences=document.audiences,
            products=document.products,
            topics=document.topics,
            language=document.language,
            dense=vector,
            sparse=document_vector(chunks[chunk_id].embedded),
        )
        for chunk_id, vector in zip(work.fresh, work.vectors, strict=True)
    ]
