"""What a collection looks like in PostgreSQL, in a schema of its own, and how it is made."""

from dataclasses import dataclass
from typing import Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy

SCHEMA = "vectors"
LOCK = 0x6553_7665


@dataclass(frozen=True, slots=True)
class Tables:
    """Quoted names, for SQL; `label` is what index names begin with."""

    chunks: str
    postings: str
    label: str

    @classmethod
    def of(cls, collection: str) -> Self:
        return cls(_quoted(collection), _quoted(f"{collection}:postings"), collection[:40])


def _quoted(name: str) -> str:
    return f'{SCHEMA}."{name.replace(chr(34), "")}"'


async def prepare(conn: "PoolConnectionProxy[asyncpg.Record]", tables: Tables, dimensions: int) -> None:
    """Make extension, schema, tables and indexes where they are missing; one process at a time."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    await conn.execute(
        f"""
        CREATE EXTENSION IF NOT EXISTS vector;
        CREATE SCHEMA IF NOT EXISTS {SCHEMA};
        CREATE TABLE IF NOT EXISTS {tables.chunks} (
            chunk_id text PRIMARY KEY,
            article_id text NOT NULL,
            audiences text[] NOT NULL,
            products text[] NOT NULL,
            topics text[] NOT NULL,
            language text NOT NULL,
            dense vector({int(dimensions)}) NOT NULL,
            terms bigint[] NOT NULL,
            weights double precision[] NOT NULL
        );
        CREATE TABLE IF NOT EXISTS {tables.postings} (
            term bigint NOT NULL,
            chunk_id text NOT NULL REFERENCES {tables.chunks} ON DELETE CASCADE,
            weight double precision NOT NULL,
            PRIMARY KEY (term, chunk_id) INCLUDE (weight)
        );
        CREATE INDEX IF NOT EXISTS "{tables.label}:postings_chunk" ON {tables.postings} (chunk_id);
        CREATE INDEX IF NOT EXISTS "{tables.label}:dense" ON {tables.chunks}
         USING hnsw (dense vector_cosine_ops) WITH (m = 16, ef_construction = 200);
        """
    )


async def dimensions_of(conn: "PoolConnectionProxy[asyncpg.Record]", tables: Tables) -> int:
    return int(
        await conn.fetchval(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'dense'",
            tables.chunks,
        )
    )


async def publish(conn: "PoolConnectionProxy[asyncpg.Record]", tables: Tables, alias: str) -> None:
    """A view of that name; replaced as a whole, since another collection may have other dimensions."""
    await conn.execute(f"DROP VIEW IF EXISTS {_quoted(alias)}")
    await conn.execute(f"CREATE VIEW {_quoted(alias)} AS SELECT * FROM {tables.chunks}")  # noqa: S608
