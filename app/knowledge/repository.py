"""Every SQL statement that reads articles and passages, and those about uploads.

`indexing` has those that write articles and passages, `versions` those about indexes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import asyncpg

from app.db import Connection
from app.knowledge.schemas import Article, ArticleSummary, Upload
from models.loading.documents import Document, Problem
from models.retrieval.library import CorpusStatistics
from models.retrieval.passages import Filters, Passage

SUMMARY = """
a.id, a.slug, a.source, a.title, a.summary, a.url, a.products, a.topics, a.language,
a.visibility::text AS visibility, a.teams, a.version, a.created_at, a.updated_at
"""
PASSAGE = "c.id, c.article_id, a.slug, c.title, c.section, a.url, c.text, c.tokens"
ALLOWED = """
a.audiences && $1::text[]
AND (cardinality($2::text[]) = 0 OR a.products && $2)
AND (cardinality($3::text[]) = 0 OR a.topics && $3)
AND (cardinality($4::text[]) = 0 OR a.language = ANY ($4))
"""


def _allowed(filters: Filters) -> tuple[list[str], list[str], list[str], list[str]]:
    return list(filters.audiences), list(filters.products), list(filters.topics), list(filters.languages)


def _passage(row: "asyncpg.Record", score: float = 0.0) -> Passage:
    return Passage(
        chunk_id=row["id"],
        article_id=str(row["article_id"]),
        slug=row["slug"],
        title=row["title"],
        section=row["section"],
        url=row["url"],
        text=row["text"],
        tokens=row["tokens"],
        score=score,
    )


async def passages(
    conn: Connection, index: str, chunk_ids: Sequence[str], filters: Filters
) -> dict[str, Passage]:
    """The chunks first: a plan for any filters takes them for rarer, and looks through all articles."""
    rows = await conn.fetch(
        f"""
        WITH c AS MATERIALIZED (
            SELECT id, article_id, title, section, text, tokens
              FROM chunks WHERE index_name = $5 AND id = ANY ($6::text[])
        )
        SELECT {PASSAGE}
          FROM c JOIN articles a ON a.id = c.article_id
         WHERE {ALLOWED}
        """,  # noqa: S608
        *_allowed(filters),
        index,
        list(chunk_ids),
    )
    return {row["id"]: _passage(row) for row in rows}


async def search_keywords(
    conn: Connection, index: str, query: str, filters: Filters, limit: int
) -> list[Passage]:
    """Any of the words will do; PostgreSQL's rank, by the passage's length, orders them."""
    rows = await conn.fetch(
        f"""
        WITH words AS (
            SELECT replace(plainto_tsquery('english', $6)::text, ' & ', ' | ')::tsquery AS query
        )
        SELECT {PASSAGE}, ts_rank(c.terms, words.query, 1) AS score
          FROM words, chunks c JOIN articles a ON a.id = c.article_id
         WHERE c.index_name = $5 AND c.terms @@ words.query AND {ALLOWED}
         ORDER BY score DESC, c.id
         LIMIT $7
        """,  # noqa: S608
        *_allowed(filters),
        index,
        query,
        limit,
    )
    return [_passage(row, row["score"]) for row in rows]


async def statistics(conn: Connection, index: str, stems: Sequence[int]) -> CorpusStatistics:
    rows = await conn.fetch(
        """
        SELECT i.chunks AS total, t.stem, t.chunks
          FROM indexes i
          LEFT JOIN index_terms t
            ON t.index_name = i.name AND t.stem = ANY ($2::bigint[]) AND t.chunks > 0
         WHERE i.name = $1
        """,
        index,
        list(stems),
    )
    known = {row["stem"]: row["chunks"] for row in rows if row["stem"] is not None}
    return CorpusStatistics(rows[0]["total"] if rows else 0, known)


async def articles(
    conn: Connection, audiences: frozenset[str], after: UUID | None, limit: int
) -> list[ArticleSummary]:
    rows = await conn.fetch(
        f"""
        SELECT {SUMMARY}
          FROM articles a
         WHERE a.audiences && $1::text[] AND ($2::uuid IS NULL OR a.id > $2)
         ORDER BY a.id
         LIMIT $3
        """,  # noqa: S608
        list(audiences),
        after,
        limit,
    )
    return [ArticleSummary(**row) for row in rows]


async def article(conn: Connection, article_id: UUID, audiences: frozenset[str]) -> Article | None:
    row = await conn.fetchrow(
        f"""
        SELECT {SUMMARY}, a.body
          FROM articles a
         WHERE a.id = $1 AND a.audiences && $2::text[]
        """,  # noqa: S608
        article_id,
        list(audiences),
    )
    return Article(**row) if row else None


async def readable(conn: Connection, article_ids: list[UUID], audiences: frozenset[str]) -> set[UUID]:
    rows = await conn.fetch(
        "SELECT id FROM articles WHERE id = ANY ($1::uuid[]) AND audiences && $2::text[]",
        article_ids,
        list(audiences),
    )
    return {row["id"] for row in rows}


async def article_of(conn: Connection, source: str, slug: str) -> bool:
    return bool(
        await conn.fetchval("SELECT true FROM articles WHERE source = $1 AND slug = $2", source, slug)
    )


async def locked(conn: Connection, article_id: UUID) -> tuple[str, int, Document] | None:
    """The article's source, version and contents; nobody else changes it until the transaction ends."""
    row = await conn.fetchrow(
        """
        SELECT source, version, slug, title, body, summary, url, products, topics, language,
               visibility::text AS visibility, teams
          FROM articles WHERE id = $1 FOR UPDATE
        """,
        article_id,
    )
    if row is None:
        return None
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return fields.pop("source"), fields.pop("version"), Document(**fields)


async def articles_of(conn: Connection, source: str) -> list[UUID]:
    rows = await conn.fetch("SELECT id FROM articles WHERE source = $1", source)
    return [row["id"] for row in rows]


async def chunk_ids_of(conn: Connection, article_ids: Sequence[UUID]) -> dict[str, list[str]]:
    """By index."""
    rows = await conn.fetch(
        """
        SELECT index_name, array_agg(id) AS ids
          FROM chunks WHERE article_id = ANY ($1::uuid[]) GROUP BY index_name
        """,
        list(article_ids),
    )
    return {row["index_name"]: row["ids"] for row in rows}


UPLOAD = """
id, filename, size, status, visibility::text AS visibility, teams, problems, articles, created_at, finished_at
"""


async def add_upload(
    conn: Connection, user_id: UUID, filename: str, content: bytes, visibility: str, teams: list[str]
) -> Upload:
    row = await conn.fetchrow(
        f"""
        INSERT INTO documents (uploaded_by, filename, size, content, visibility, teams)
        VALUES ($1, $2, $3, $4, $5::text::visibility, $6)
        RETURNING {UPLOAD}
        """,  # noqa: S608
        user_id,
        filename,
        len(content),
        content,
        visibility,
        teams,
    )
    assert row  # noqa: S101
    return Upload(**row)


async def upload(conn: Connection, upload_id: UUID) -> Upload | None:
    row = await conn.fetchrow(f"SELECT {UPLOAD} FROM documents WHERE id = $1", upload_id)  # noqa: S608
    return Upload(**row) if row else None


async def uploads(conn: Connection, before: UUID | None, limit: int) -> list[Upload]:
    rows = await conn.fetch(
        f"""
        SELECT {UPLOAD} FROM documents WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
    )
    return [Upload(**row) for row in rows]


async def upload_content(conn: Connection, upload_id: UUID) -> tuple[Upload, bytes] | None:
    """`None` where it is gone, or was read already."""
    row = await conn.fetchrow(
        f"SELECT {UPLOAD}, content FROM documents WHERE id = $1 AND content IS NOT NULL",  # noqa: S608
        upload_id,
    )
    return (Upload(**row), row["content"]) if row else None


async def finish_upload(
    conn: Connection, upload_id: UUID, *, status: str, articles: int, problems: Sequence[Problem]
) -> None:
    """It was read; its bytes go."""
    await conn.execute(
        """
        UPDATE documents
           SET status = $2, articles = $3, problems = $4, content = NULL,
               finished_at = CASE WHEN $2 = 'failed' THEN now() END
         WHERE id = $1
        """,
        upload_id,
        status,
        articles,
        [asdict(problem) for problem in problems],
    )


async def settle_uploads(conn: Connection) -> None:
    """Uploads whose articles the live index holds as they are now are ready."""
    await conn.execute(
        """
        UPDATE documents d
           SET status = 'ready', finished_at = now()
         WHERE d.status = 'indexing'
           AND NOT EXISTS (
               SELECT FROM articles a
                 LEFT JOIN indexed_articles i
                   ON i.article_id = a.id AND i.index_name = (SELECT name FROM indexes WHERE active)
                WHERE a.source = 'upload:' || d.filename AND i.content_hash IS DISTINCT FROM a.content_hash)
        """
    )


async def remove_upload(conn: Connection, upload_id: UUID) -> None:
    await conn.execute("DELETE FROM documents WHERE id = $1", upload_id)
