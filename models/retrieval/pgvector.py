"""The vector store in PostgreSQL: pgvector's HNSW for dense search, postings of BM25 weights for sparse.

pgvector's own sparse vectors hold indices below 10^9, and their index at most 1,000 weights; terms are 32-bit
hashes, hence a table of postings: exact, and read by one index scan a term of the question.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import numpy as np
from asyncpg.pool import PoolConnectionProxy
from numpy.typing import NDArray

from models.retrieval.passages import Filters
from models.retrieval.pgvector_schema import Tables, dimensions_of, prepare, publish
from models.retrieval.store import ChunkVectors, Hit, Record, SparseVector, StoreUnavailable

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
DOWN = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
BATCH = 256
ALLOWED = """
c.audiences && $1::text[]
AND (cardinality($2::text[]) = 0 OR c.language = ANY ($2))
AND (cardinality($3::text[]) = 0 OR c.products && $3)
AND (cardinality($4::text[]) = 0 OR c.topics && $4)
AND (cardinality($5::text[]) = 0 OR c.article_id = ANY ($5))
"""


class PgVectorStore:
    """Implements `VectorStore`. Searches give up after `timeout_s`, writes after `write_timeout_s`."""

    name = "pgvector"

    def __init__(
        self, dsn: str, collection: str, *, timeout_s: float = 5.0, write_timeout_s: float = 60.0
    ) -> None:
        self.collection = collection
        self.timeout_s = timeout_s
        self.write_timeout_s = write_timeout_s
        self._dsn = dsn.replace("?pgbouncer=true", "")
        self._address = urlsplit(dsn).netloc.rpartition("@")[2]  # without user and password
        self._tables = Tables.of(collection)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._connecting = asyncio.Lock()

    async def ensure(self, dimensions: int) -> None:
        async with self._connection(self.write_timeout_s) as conn, conn.transaction():
            await prepare(conn, self._tables, dimensions)
            there = await dimensions_of(conn, self._tables)
        if there != dimensions:
            raise ValueError(f"collection {self.collection!r} has {there} dimensions, not {dimensions}")

    async def upsert(self, records: Sequence[Record]) -> None:
        for start in range(0, len(records), BATCH):
            batch = list({record.chunk_id: record for record in records[start : start + BATCH]}.values())
            async with self._connection(self.write_timeout_s) as conn, conn.transaction():
                await conn.executemany(
                    f"""
                    INSERT INTO {self._tables.chunks}
                    VALUES ($1, $2, $3, $4, $5, $6, $7::real[]::vector, $8, $9)
                    ON CONFLICT (chunk_id) DO UPDATE
                       SET article_id = excluded.article_id, audiences = excluded.audiences,
                           products = excluded.products, topics = excluded.topics,
                           language = excluded.language, dense = excluded.dense,
                           terms = excluded.terms, weights = excluded.weights
                    """,  # noqa: S608
                    [_row(record) for record in batch],
                )
                await self._post(conn, [record.chunk_id for record in batch])

    async def _post(self, conn: Connection, chunk_ids: list[str]) -> None:
        await conn.execute(
            f"DELETE FROM {self._tables.postings} WHERE chunk_id = ANY ($1)",  # noqa: S608
            chunk_ids,
        )
        await conn.execute(
            f"""
            INSERT INTO {self._tables.postings} (term, chunk_id, weight)
            SELECT posting.term, c.chunk_id, posting.weight
              FROM {self._tables.chunks} c, unnest(c.terms, c.weights) AS posting (term, weight)
             WHERE c.chunk_id = ANY ($1)
            """,  # noqa: S608
            chunk_ids,
        )

    async def delete(self, chunk_ids: Sequence[str]) -> None:
        async with self._connection(self.write_timeout_s) as conn:
            await conn.execute(
                f"DELETE FROM {self._tables.chunks} WHERE chunk_id = ANY ($1)",  # noqa: S608
                list(chunk_ids),
            )

    async def flush(self) -> None:
        """Every write is durable by itself; what is left is to let the planner know how much there is."""
        async with self._connection(self.write_timeout_s) as conn:
            await conn.execute(f"ANALYZE {self._tables.chunks}, {self._tables.postings}")

    async def count(self) -> int:
        async with self._connection(self.write_timeout_s) as conn:
            return int(await conn.fetchval(f"SELECT count(*) FROM {self._tables.chunks}"))  # noqa: S608

    async def ids(self) -> set[str]:
        async with self._connection(10 * self.write_timeout_s) as conn:
            rows = await conn.fetch(f"SELECT chunk_id FROM {self._tables.chunks}")  # noqa: S608
        return {row["chunk_id"] for row in rows}

    async def search_dense(self, vector: NDArray[np.float32], *, filters: Filters, limit: int) -> list[Hit]:
        async with self._connection(self.timeout_s) as conn:
            rows = await conn.fetch(
                f"""
                SELECT c.chunk_id, c.article_id, 1 - (c.dense <=> $6::real[]::vector) AS score
                  FROM {self._tables.chunks} c
                 WHERE {ALLOWED}
                 ORDER BY c.dense <=> $6::real[]::vector
                 LIMIT $7
                """,  # noqa: S608
                *_allowed(filters),
                vector.tolist(),
                limit,
            )
        return [Hit(row["chunk_id"], row["article_id"], row["score"]) for row in rows]

    async def search_sparse(self, vector: SparseVector, *, filters: Filters, limit: int) -> list[Hit]:
        if not vector:
            return []
        async with self._connection(self.timeout_s) as conn:
            rows = await conn.fetch(
                f"""
                SELECT c.chunk_id, c.article_id, sum(posting.weight * asked.weight) AS score
                  FROM unnest($6::bigint[], $7::double precision[]) AS asked (term, weight)
                  JOIN {self._tables.postings} posting USING (term)
                  JOIN {self._tables.chunks} c USING (chunk_id)
                 WHERE {ALLOWED}
                 GROUP BY c.chunk_id, c.article_id
                 ORDER BY score DESC, c.chunk_id
                 LIMIT $8
                """,  # noqa: S608
                *_allowed(filters),
                list(vector),
                list(vector.values()),
                limit,
            )
        return [Hit(row["chunk_id"], row["article_id"], row["score"]) for row in rows]

    async def vectors(self, chunk_ids: Sequence[str]) -> dict[str, ChunkVectors]:
        async with self._connection(self.timeout_s) as conn:
            rows = await conn.fetch(
                f"""
                SELECT chunk_id, dense::real[] AS dense, terms, weights
                  FROM {self._tables.chunks}
                 WHERE chunk_id = ANY ($1)
                """,  # noqa: S608
                list(chunk_ids),
            )
        return {
            row["chunk_id"]: ChunkVectors.of(
                row["dense"], dict(zip(row["terms"], row["weights"], strict=True))
            )
            for row in rows
        }

    async def ping(self) -> None:
        async with self._connection(self.timeout_s) as conn:
            await conn.fetchval("SELECT 1")

    async def capacity(self) -> int | None:
        return None

    async def publish(self, alias: str) -> None:
        async with self._connection(self.write_timeout_s) as conn, conn.transaction():
            await publish(conn, self._tables, alias)

    async def drop(self) -> None:
        async with self._connection(self.write_timeout_s) as conn:
            await conn.execute(f"DROP TABLE IF EXISTS {self._tables.postings}, {self._tables.chunks} CASCADE")

    async def close(self) -> None:
        if self._pool:
            await self._pool.close()
            self._pool = None

    @asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncIterator[Connection]:
        """Connect at the first call, so that a store that is down stops no replica from starting."""
        try:
            async with asyncio.timeout(seconds):
                async with self._connecting:
                    if self._pool is None:
                        self._pool = await asyncpg.create_pool(
                            self._dsn, min_size=0, max_size=8, init=_set_up, timeout=self.timeout_s
                        )
                async with self._pool.acquire() as conn:
                    yield conn
        except DOWN as error:
            why = " ".join(str(error).split()) or "no answer in time"
            raise StoreUnavailable(f"pgvector at {self._address}: {why}") from error


async def _set_up(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """HNSW goes on looking where a filter leaves too few of the nearest (pgvector 0.8)."""
    await conn.execute("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = strict_order")


def _allowed(filters: Filters) -> list[list[str]]:
    wanted = (filters.audiences, filters.languages, filters.products, filters.topics, filters.articles)
    return [list(each) for each in wanted]


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.chunk_id,
        record.article_id,
        list(record.audiences),
        list(record.products),
        list(record.topics),
        record.language,
        record.dense.tolist(),
        list(record.sparse),
        list(record.sparse.values()),
    )
