"""Passages and term statistics for the retriever, from PostgreSQL: the truth about what may be seen."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app import db
from app.knowledge import repository, signs
from models.retrieval.library import CorpusStatistics
from models.retrieval.passages import Filters, Passage

T = TypeVar("T")


class PostgresLibrary:
    """Implements `PassageLibrary` over one index; a connection that a restart broke is replaced."""

    def __init__(self, pool: db.Pool, index: str) -> None:
        self._pool = pool
        self._index = index

    async def fetch(self, chunk_ids: Sequence[str], filters: Filters) -> dict[str, Passage]:
        return await self._read(lambda conn: repository.passages(conn, self._index, chunk_ids, filters))

    async def signs(self, chunk_ids: Sequence[str], model: str) -> dict[str, bytes]:
        return await self._read(lambda conn: signs.of(conn, self._index, model, chunk_ids))

    async def search_keywords(self, query: str, filters: Filters, limit: int) -> list[Passage]:
        return await self._read(
            lambda conn: repository.search_keywords(conn, self._index, query, filters, limit)
        )

    async def statistics(self, terms: Sequence[int]) -> CorpusStatistics:
        return await self._read(lambda conn: repository.statistics(conn, self._index, terms))

    async def _read(self, call: Callable[[db.Connection], Awaitable[T]]) -> T:
        return await db.read(self._pool, call)
