"""Every SQL statement that reads articles and passages. `indexing` has those that write them."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.db import Connection
from app.knowledge.schemas import Article, ArticleSummary
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
    rows = await conn.fetch(
        f"""
        SELECT {PASSAGE}
          FROM chunks c JOIN articles a ON a.id = c.article_id
         WHERE c.index_name = $5 AND c.id = ANY ($6::text[]) AND {ALLOWED}
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
