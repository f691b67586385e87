"""Every SQL statement on what late interaction reads of chunks (`models.embedding.signs`)."""

from collections.abc import Collection, Sequence
from uuid import UUID

from app.db import Connection


async def replace(
    conn: Connection,
    index: str,
    gone: Collection[str],
    model: str,
    signs: Sequence[tuple[str, UUID, bytes]],
) -> None:
    """Forget those of the chunks in `gone`, and keep these: a chunk's id, its article, its tokens' signs."""
    await conn.execute(
        "DELETE FROM chunk_signs WHERE index_name = $1 AND chunk_id = ANY ($2::text[])", index, list(gone)
    )
    if signs:
        chunks, articles, tokens = zip(*signs, strict=True)
        await conn.execute(
            """
            INSERT INTO chunk_signs (index_name, model, chunk_id, article_id, signs)
            SELECT $1, $2, * FROM unnest($3::text[], $4::uuid[], $5::bytea[])
            """,
            index,
            model,
            list(chunks),
            list(articles),
            list(tokens),
            timeout=60,
        )


async def of(conn: Connection, index: str, model: str, chunk_ids: Sequence[str]) -> dict[str, bytes]:
    """Those that this model made, by chunk."""
    rows = await conn.fetch(
        """
        SELECT chunk_id, signs FROM chunk_signs
         WHERE index_name = $1 AND model = $2 AND chunk_id = ANY ($3::text[])
        """,
        index,
        model,
        list(chunk_ids),
    )
    return {row["chunk_id"]: row["signs"] for row in rows}
