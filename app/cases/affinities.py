"""What was learnt from cases of which articles solve which questions: every SQL statement that touches it.

It is learnt from cases that count for everybody, and tells nobody of an article: it only moves what a reader
finds anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from app.db import Connection
from models.retrieval.affinity import Affinity, Vectors

NEWEST = 1_200
"""Cases that are learnt from: at 40 ms each less than a minute to ask them."""
ARTICLES = 4_000
"""That are learnt over, those that cases link first: 1,200 cases over so many take half a minute."""
KIND = np.dtype("<f4")
BASIS = """
(SELECT coalesce(md5(string_agg(l.case_id::text || l.article_id, ' ' ORDER BY l.case_id, l.article_id)), '')
   FROM case_links l JOIN solved_cases c ON c.id = l.case_id
  WHERE l.case_id = ANY ({cases}) AND l.revoked_at IS NULL AND c.confirmed_at IS NOT NULL)
"""


async def openings(conn: Connection) -> list[tuple[str, str]]:
    """Articles' ids and how each begins, its title in the first line."""
    rows = await conn.fetch(
        """
        SELECT a.id::text AS id,
               concat_ws(E'\\n', a.title, nullif(a.summary, ''), left(a.body, 600)) AS opening
          FROM articles a
         ORDER BY EXISTS (SELECT FROM case_links l
                           WHERE l.article_id = a.id AND l.revoked_at IS NULL) DESC, a.id
         LIMIT $1
        """,
        ARTICLES,
        timeout=60,
    )
    return [(row["id"], row["opening"]) for row in rows]


async def keep(
    conn: Connection, collection: str, learnt: Affinity, cases: Sequence[UUID], figures: Mapping[str, Any]
) -> None:
    """Replicas use it within seconds, in the place of the one before."""
    await conn.execute(
        f"""
        INSERT INTO affinities AS a (collection, articles, vectors, biases, cases, basis, figures)
        VALUES ($1, $2::uuid[], $3, $4, $5::uuid[], {BASIS.format(cases="$5::uuid[]")}, $6)
        ON CONFLICT (collection) DO UPDATE
           SET version = uuidv7(), articles = excluded.articles, vectors = excluded.vectors,
               biases = excluded.biases, cases = excluded.cases, basis = excluded.basis,
               figures = excluded.figures, learnt_at = now()
        """,  # noqa: S608
        collection,
        [UUID(each) for each in learnt.articles],
        learnt.vectors.astype(KIND).tobytes(),
        learnt.biases.astype(KIND).tobytes(),
        list(cases),
        dict(figures),
        timeout=60,
    )


async def drop(conn: Connection, collection: str) -> None:
    await conn.execute("DELETE FROM affinities WHERE collection = $1", collection)


async def version(conn: Connection, collection: str) -> UUID | None:
    found: UUID | None = await conn.fetchval(
        "SELECT version FROM affinities WHERE collection = $1", collection
    )
    return found


async def get(conn: Connection, collection: str) -> Affinity | None:
    row = await conn.fetchrow(
        "SELECT articles, vectors, biases FROM affinities WHERE collection = $1", collection, timeout=60
    )
    if row is None:
        return None
    biases = _floats(row["biases"])
    return Affinity(
        tuple(str(each) for each in row["articles"]), _floats(row["vectors"]).reshape(len(biases), -1), biases
    )


async def outdated(conn: Connection, collection: str) -> dict[str, Any] | None:
    """Its figures, where links it was learnt from do not stand any more, or others stand; else `None`."""
    figures: dict[str, Any] | None = await conn.fetchval(
        f"""
        SELECT figures FROM affinities a
         WHERE collection = $1 AND basis <> {BASIS.format(cases="a.cases")}
        """,  # noqa: S608
        collection,
        timeout=60,
    )
    return figures


def _floats(kept: bytes) -> Vectors:
    return np.frombuffer(kept, dtype=KIND).astype(np.float32)
