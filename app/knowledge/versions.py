"""Every SQL statement about index versions: which there are, which one answers, what each of them lacks."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from app.db import Connection
from app.knowledge.schemas import Index

LOCK = 0x6553_7670
KEPT: Final = ("live", "standby", "ready")
"""What is kept up to date with every edit: what answers, and what may be made to in a second."""

COLUMNS = """
name, embedder, dimensions, chunker, active, status, chunks, gate, error, promoted_at, created_at, updated_at
"""


async def lock(conn: Connection) -> None:
    """One change of versions at a time, as long as the transaction lasts."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def every(conn: Connection) -> list[Index]:
    return [Index(**row) for row in await conn.fetch(f"SELECT {COLUMNS} FROM indexes ORDER BY created_at")]  # noqa: S608


async def get(conn: Connection, name: str) -> Index | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM indexes WHERE name = $1", name)  # noqa: S608
    return Index(**row) if row else None


async def live(conn: Connection) -> Index | None:
    """The one that answers; none where nothing was ever indexed."""
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM indexes WHERE active")  # noqa: S608
    return Index(**row) if row else None


async def add(conn: Connection, name: str, *, embedder: str, dimensions: int, chunker: str) -> Index:
    row = await conn.fetchrow(
        f"""
        INSERT INTO indexes (name, embedder, dimensions, chunker, status) VALUES ($1, $2, $3, $4, 'building')
        RETURNING {COLUMNS}
        """,  # noqa: S608
        name,
        embedder,
        dimensions,
        chunker,
    )
    assert row  # noqa: S101
    return Index(**row)


async def next_name(conn: Connection, base: str) -> str:
    """`passages`, then `passages_2` ...: a name is never given twice while its index is there."""
    taken = {row["name"] for row in await conn.fetch("SELECT name FROM indexes")}
    number = 1 + max((int(n) for name in taken if (n := name.removeprefix(f"{base}_")).isdigit()), default=1)
    return f"{base}_{number}" if taken else base


async def judge(conn: Connection, name: str, *, passed: bool, gate: dict[str, Any]) -> None:
    await conn.execute(
        "UPDATE indexes SET status = $2, gate = $3, error = NULL, updated_at = now() WHERE name = $1",
        name,
        "ready" if passed else "refused",
        gate,
    )


async def fail(conn: Connection, name: str, error: str) -> None:
    """Say why a build does not go on; it may be taken up again."""
    await conn.execute(
        "UPDATE indexes SET error = $2, updated_at = now() WHERE name = $1", name, error[:2000]
    )


async def swap(conn: Connection, name: str) -> None:
    """`name` answers from now on; what answered before stands by."""
    await conn.execute(
        "UPDATE indexes SET status = 'standby', active = false, updated_at = now() WHERE active"
    )
    await conn.execute(
        """
        UPDATE indexes
           SET status = 'live', active = true, promoted_at = now(), updated_at = now()
         WHERE name = $1
        """,
        name,
    )


async def remove(conn: Connection, name: str) -> None:
    """Its chunks first, while their terms can still be counted down."""
    await conn.execute("DELETE FROM chunks WHERE index_name = $1", name, timeout=60)
    await conn.execute("DELETE FROM indexes WHERE name = $1 AND NOT active", name, timeout=60)


async def stale(conn: Connection, index: str, limit: int = 1_000_000) -> list[tuple[str, str]]:
    """Source and slug of the articles that the index does not hold as they are now."""
    rows = await conn.fetch(
        """
        SELECT a.source, a.slug
          FROM articles a
          LEFT JOIN indexed_articles i ON i.article_id = a.id AND i.index_name = $1
         WHERE i.content_hash IS DISTINCT FROM a.content_hash
         ORDER BY a.id
         LIMIT $2
        """,
        index,
        limit,
        timeout=60,
    )
    return [(row["source"], row["slug"]) for row in rows]


async def questions(conn: Connection) -> list[tuple[str, list[UUID]]]:
    """The gate's questions and which articles answer them, of those that are still there."""
    rows = await conn.fetch(
        """
        SELECT q.question, array_agg(a.id) AS articles
          FROM gate_questions q JOIN articles a ON a.id = ANY (q.articles)
         GROUP BY q.id
         ORDER BY q.id
        """
    )
    return [(row["question"], row["articles"]) for row in rows]


async def titles(conn: Connection, limit: int) -> list[tuple[str, list[UUID]]]:
    """Articles by their own titles, all over the library: to be asked where nobody stored a question."""
    rows = await conn.fetch(
        """
        SELECT title, array_agg(id) AS ids
          FROM articles GROUP BY title ORDER BY md5(title) LIMIT $1
        """,
        limit,
    )
    return [(row["title"], row["ids"]) for row in rows]


async def add_questions(conn: Connection, rows: Sequence[tuple[str, list[UUID]]]) -> None:
    """Store them; a question that is there already gets its new articles."""
    await conn.executemany(
        """
        INSERT INTO gate_questions (question, articles) VALUES ($1, $2)
        ON CONFLICT (md5(question)) DO UPDATE SET articles = excluded.articles
        """,
        rows,
    )
