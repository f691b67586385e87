"""Every SQL statement about trained rerankers: which there are, which one answers."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.db import Connection
from app.errors import Conflict, NotFound
from app.knowledge.schemas import RerankerVersion

COLUMNS = "id, artefact, weight, max_tokens, figures, won, active, promoted_at, created_at"


class RerankerNotFound(NotFound):
    """There is no such reranker."""


class RerankerHasNotWon(Conflict):
    """This reranker has not won on the newest cases; say `without_proof` to let it rerank all the same."""


async def add(
    conn: Connection, artefact: str, *, weight: float, max_tokens: int, figures: Mapping[str, Any], won: bool
) -> RerankerVersion:
    """Record a trained artefact. It reranks nothing until it is promoted."""
    row = await conn.fetchrow(
        f"""
        INSERT INTO reranker_versions (artefact, weight, max_tokens, figures, won)
        VALUES ($1, $2, $3, $4, $5) RETURNING {COLUMNS}
        """,  # noqa: S608
        artefact,
        weight,
        max_tokens,
        dict(figures),
        won,
    )
    assert row  # noqa: S101
    return RerankerVersion(**row)


async def active(conn: Connection) -> RerankerVersion | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM reranker_versions WHERE active")  # noqa: S608
    return RerankerVersion(**row) if row else None


async def newest(conn: Connection, limit: int) -> list[RerankerVersion]:
    rows = await conn.fetch(f"SELECT {COLUMNS} FROM reranker_versions ORDER BY id DESC LIMIT $1", limit)  # noqa: S608
    return [RerankerVersion(**row) for row in rows]


async def get(conn: Connection, version_id: UUID) -> RerankerVersion:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM reranker_versions WHERE id = $1", version_id)  # noqa: S608
    if row is None:
        raise RerankerNotFound
    return RerankerVersion(**row)


async def promote(conn: Connection, version_id: UUID, *, without_proof: bool = False) -> RerankerVersion:
    """Let it rerank: one that won, or any where that is asked for. Replicas take it up within seconds."""
    version = await get(conn, version_id)
    if not version.won and not without_proof:
        raise RerankerHasNotWon
    await retire(conn)
    await conn.execute(
        "UPDATE reranker_versions SET active = true, promoted_at = now() WHERE id = $1", version_id
    )
    return await get(conn, version_id)


async def retire(conn: Connection) -> None:
    """Go back to what the profile says."""
    await conn.execute("UPDATE reranker_versions SET active = false WHERE active")
