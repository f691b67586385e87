"""Passages and term statistics for the retriever, from PostgreSQL: the truth about what may be seen."""

from collections.abc import Sequence

from app import db
from app.knowledge import repository
from models.retrieval.library import CorpusStatistics
from models.retrieval.passages import Filters, Passage


class PostgresLibrary:
    """Implements `PassageLibrary` over one index; a connection that a restart broke is replaced once."""

    def __init__(self, pool: db.Pool, index: str) -> None:
        self._pool = pool
        self._index = index

    async def fetch(self, chunk_ids: Sequence[str], filters: Filters) -> dict[str, Passage]:
        async def call() -> dict[str, Passage]:
            async with db.transaction(self._pool) as conn:
                return await repository.passages(conn, self._index, chunk_ids, filters)

        return await db.again(call)

    async def search_keywords(self, query: str, filters: Filters, limit: int) -> list[Passage]:
        async def call() -> list[Passage]:
            async with db.transaction(self._pool) as conn:
                return await repository.search_keywords(conn, self._index, query, filters, limit)

        return await db.again(call)

    async def statistics(self, terms: Sequence[int]) -> CorpusStatistics:
        async def call() -> CorpusStatistics:
            async with db.transaction(self._pool) as conn:
                return await repository.statistics(conn, self._index, terms)

        return await db.again(call)
