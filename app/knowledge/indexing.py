"""Every SQL statement that writes articles, passages and indexes, and what indexing asks before it writes."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid5

from app.db import Connection
from app.errors import Conflict
from models.loading.documents import Document
from models.retrieval.bm25 import document_vector
from models.retrieval.chunking import Chunk

ARTICLES = UUID("5b1f2f2e-6d0b-5b6e-9d7c-2f1d0c9a7e11")
"""Namespace: an article keeps its id, and citations their target, also where the database is built anew."""
LOCK = 0x6553_7669


class AlreadyIndexing(Conflict):
    """Another run is writing to this index; try again when it has ended."""


@dataclass(frozen=True, slots=True)
class Known:
    """An article as it is stored: `attributes` are what the vector store repeats beside each vector.

    `unembedded` are those of its chunks whose vectors are missing or of another embedder.
    """

    article_id: UUID
    content_hash: str
    attributes: tuple[Any, ...]
    chunk_ids: frozenset[str]
    unembedded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """An article to be written: its chunks as they will be, and the ids of those whose vectors go."""

    article_id: UUID
    source: str
    document: Document
    content_hash: str
    chunks: tuple[Chunk, ...]
    gone: tuple[str, ...]


def article_id(source: str, slug: str) -> UUID:
    return uuid5(ARTICLES, f"{source}\0{slug}")


def attributes(document: Document) -> tuple[Any, ...]:
    return (document.audiences, document.products, document.topics, document.language)


@asynccontextmanager
async def only_writer(conn: Connection, index: str) -> AsyncIterator[None]:
    """`AlreadyIndexing` where somebody else writes this index; the lock ends with `conn` at the latest."""
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", LOCK, index):
        raise AlreadyIndexing
    try:
        yield
    finally:
        if not conn.is_closed():
            await conn.execute("SELECT pg_advisory_unlock($1, hashtext($2))", LOCK, index)


async def ensure_index(conn: Connection, name: str, *, embedder: str, dimensions: int, chunker: str) -> bool:
    """Make the index where it is missing; whether what it holds was cut and embedded like this."""
    row = await conn.fetchrow("SELECT embedder, chunker FROM indexes WHERE name = $1", name)
    if row is not None:
        return (row["embedder"], row["chunker"]) == (embedder, chunker)
    await conn.execute(
        """
        INSERT INTO indexes (name, embedder, dimensions, chunker, active, status)
        SELECT $1, $2, $3, $4, first, CASE WHEN first THEN 'live' ELSE 'building' END
          FROM (SELECT NOT EXISTS (SELECT FROM indexes WHERE active) AS first) AS state
        """,
        name,
        embedder,
        dimensions,
        chunker,
    )
    return True


async def settle_index(conn: Connection, name: str, *, embedder: str, dimensions: int, chunker: str) -> None:
    """Say that the whole index is now cut and embedded like this."""
    await conn.execute(
        """
        UPDATE indexes
           SET embedder = $2, dimensions = $3, chunker = $4, updated_at = now()
         WHERE name = $1
        """,
        name,
        embedder,
        dimensions,
        chunker,
    )


async def known(conn: Connection, index: str) -> dict[tuple[str, str], Known]:
    """Every stored article as this index holds it, by source and slug."""
    return await _known(conn, index, None)


async def known_among(
    conn: Connection, index: str, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Known]:
    """The same for these alone."""
    return await _known(conn, index, [f"{source}\n{slug}" for source, slug in keys])


async def _known(conn: Connection, index: str, wanted: list[str] | None) -> dict[tuple[str, str], Known]:
    rows = await conn.fetch(
        """
        SELECT a.id, a.source, a.slug, coalesce(encode(i.content_hash, 'hex'), '') AS content_hash,
               i.attributes,
               coalesce(array_agg(c.id) FILTER (WHERE c.id IS NOT NULL), '{}') AS chunk_ids
          FROM articles a
          LEFT JOIN indexed_articles i ON i.article_id = a.id AND i.index_name = $1
          LEFT JOIN chunks c ON c.article_id = a.id AND c.index_name = $1
         WHERE $2::text[] IS NULL OR a.source || E'\\n' || a.slug = ANY ($2)
         GROUP BY a.id, i.index_name, i.article_id
        """,
        index,
        wanted,
        timeout=60,
    )
    return {
        (row["source"], row["slug"]): Known(
            row["id"],
            row["content_hash"],
            tuple(tuple(v) if isinstance(v, list) else v for v in row["attributes"] or ()),
            frozenset(row["chunk_ids"]),
        )
        for row in rows
    }


async def documents(conn: Connection, keys: Collection[tuple[str, str]]) -> list[tuple[str, Document]]:
    """These articles as documents with their sources: what can be indexed again without its source."""
    sources, slugs = zip(*keys, strict=True) if keys else ((), ())
    rows = await conn.fetch(
        """
        SELECT a.source, a.slug, a.title, a.body, a.summary, a.url, a.products, a.topics, a.language,
               a.visibility::text AS visibility, a.teams
          FROM articles a
          JOIN unnest($1::text[], $2::text[]) AS wanted (source, slug) USING (source, slug)
         ORDER BY a.id
        """,
        list(sources),
        list(slugs),
        timeout=60,
    )
    return [(fields.pop("source"), _document(fields)) for fields in map(dict, rows)]


def _document(fields: dict[str, Any]) -> Document:
    lists = {name: tuple(fields[name]) for name in ("products", "topics", "teams")}
    return Document(**{**fields, **lists})


async def unchanged(conn: Connection, changes: Sequence[Change]) -> list[Change]:
    """Those whose article is still as it was cut, and stays so until the transaction ends.

    An edit that came in between is indexed on its own account: an older state must not replace it.
    """
    rows = await conn.fetch(
        "SELECT id, encode(content_hash, 'hex') AS hash FROM articles WHERE id = ANY ($1::uuid[]) FOR SHARE",
        [change.article_id for change in changes],
    )
    there = {row["id"]: row["hash"] for row in rows}
    return [change for change in changes if there.get(change.article_id) == change.content_hash]


async def put_articles(conn: Connection, changes: Sequence[Change]) -> None:
    """These articles as their source has them now."""
    await conn.execute(
        """
        INSERT INTO articles AS a (id, source, slug, title, summary, url, body, products, topics, language,
                                   visibility, teams, content_hash)
        SELECT id, source, slug, title, summary, url, body, products, topics, language, visibility, teams,
               decode(content_hash, 'hex')
          FROM jsonb_to_recordset($1) AS r (
               id uuid, source text, slug text, title text, summary text, url text, body text,
               products text[], topics text[], language text, visibility visibility, teams text[],
               content_hash text)
         ORDER BY id
        ON CONFLICT (source, slug) DO UPDATE
           SET title = excluded.title, summary = excluded.summary, url = excluded.url, body = excluded.body,
               products = excluded.products, topics = excluded.topics, language = excluded.language,
               visibility = excluded.visibility, teams = excluded.teams, content_hash = excluded.content_hash,
               version = a.version + (a.content_hash <> excluded.content_hash)::integer,
               updated_at = CASE WHEN a.content_hash <> excluded.content_hash THEN now() ELSE a.updated_at END
        """,
        [_article_row(change) for change in changes],
        timeout=60,
    )


async def write(conn: Connection, index: str, changes: Sequence[Change]) -> None:
    """These articles' chunks as they are now, in place of those before."""
    await conn.execute(
        "DELETE FROM chunks WHERE index_name = $1 AND article_id = ANY ($2::uuid[])",
        index,
        [change.article_id for change in changes],
        timeout=60,
    )
    await conn.execute(
        """
        INSERT INTO chunks (index_name, id, article_id, position, title, section, text, tokens, stems)
        SELECT $1, id, article_id, position, title, section, text, tokens, stems
          FROM jsonb_to_recordset($2) AS r (
               id text, article_id uuid, position integer, title text, section text, text text,
               tokens integer, stems bigint[])
        """,
        index,
        [_chunk_row(change, chunk) for change in changes for chunk in change.chunks],
        timeout=60,
    )
    await conn.executemany(
        """
        INSERT INTO indexed_articles (index_name, article_id, content_hash, attributes)
        VALUES ($1, $2, decode($3, 'hex'), $4)
        ON CONFLICT (index_name, article_id) DO UPDATE
           SET content_hash = excluded.content_hash, attributes = excluded.attributes
        """,
        [
            (index, change.article_id, change.content_hash, list(attributes(change.document)))
            for change in changes
        ],
    )


def _article_row(change: Change) -> dict[str, Any]:
    return {
        **asdict(change.document),
        "id": str(change.article_id),
        "source": change.source,
        "content_hash": change.content_hash,
    }


def _chunk_row(change: Change, chunk: Chunk) -> dict[str, Any]:
    return {
        **asdict(chunk),
        "article_id": str(change.article_id),
        "stems": list(document_vector(chunk.embedded)),
    }


async def forget(conn: Connection, article_ids: Sequence[UUID]) -> None:
    """Delete these articles and all their chunks."""
    await conn.execute("DELETE FROM articles WHERE id = ANY ($1::uuid[])", list(article_ids), timeout=60)


async def chunk_ids(conn: Connection, index: str) -> set[str]:
    rows = await conn.fetch("SELECT id FROM chunks WHERE index_name = $1", index, timeout=60)
    return {row["id"] for row in rows}


async def count(conn: Connection, index: str) -> int:
    """How many chunks the index has."""
    return int(await conn.fetchval("SELECT coalesce(max(chunks), 0) FROM indexes WHERE name = $1", index))
