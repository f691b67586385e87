"""Every SQL statement that touches solved cases, their links and the weights learnt from them.

Questions are sealed (`sealed`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import asyncpg

from app.cases.schemas import Case, Confirmed, Imported, Subject, Via
from app.cases.sealed import OWNER, QUESTION
from app.db import Connection
from app.vault import service as vault
from models.retrieval.cases import Standing

LINKS = """
(SELECT coalesce(jsonb_agg(jsonb_build_object('article_id', l.article_id, 'title', a.title, 'via', l.via,
                                              'created_at', l.created_at, 'revoked_at', l.revoked_at)
                           ORDER BY l.created_at, l.article_id), '[]')
   FROM case_links l JOIN articles a ON a.id = l.article_id WHERE l.case_id = c.id) AS articles
"""
CASE = f"c.id, c.question, {OWNER} AS owner, c.ticket_id, c.message_id, c.confirmed_at, c.created_at, {LINKS}"
COUNTS = """
c.confirmed_at IS NOT NULL
AND EXISTS (SELECT FROM case_links l WHERE l.case_id = c.id AND l.revoked_at IS NULL)
"""


async def upsert(
    conn: Connection,
    solved: Literal["ticket_id", "message_id"],
    by: UUID,
    customer_id: UUID,
    question: str,
    audiences: Sequence[str],
) -> UUID:
    """The case of a ticket or of an answer, made or brought up to date."""
    found: UUID = await conn.fetchval(
        f"""
        INSERT INTO solved_cases ({solved}, customer_id, question, audiences) VALUES ($1, $2, $3, $4)
        ON CONFLICT ({solved}) DO UPDATE SET question = excluded.question, updated_at = now()
        RETURNING id
        """,  # noqa: S608
        by,
        customer_id,
        await QUESTION.seal(conn, customer_id, question),
        list(audiences),
    )
    return found


async def add_imported(conn: Connection, cases: Sequence[Imported], audiences: Sequence[str]) -> None:
    """Confirmed cases from elsewhere, in the order of their ids; one that is there already stays.

    They may be many: the Worker seals them.
    """
    await conn.execute(
        """
        WITH given AS (
            SELECT key, question, articles
              FROM jsonb_to_recordset($1) AS r (key text, question text, articles uuid[])
        ), added AS (
            INSERT INTO solved_cases (imported, question, audiences, confirmed_at)
            SELECT key, '\\x00'::bytea || convert_to(question, 'UTF8'), $2, now() FROM given
            ON CONFLICT (imported) DO NOTHING
            RETURNING id, imported
        )
        INSERT INTO case_links (case_id, article_id, via)
        SELECT added.id, article, 'import'
          FROM added JOIN given ON given.key = added.imported, unnest(given.articles) AS article
         WHERE EXISTS (SELECT FROM articles a WHERE a.id = article)
        """,
        [{"key": c.key, "question": c.question, "articles": [str(a) for a in c.articles]} for c in cases],
        list(audiences),
        timeout=60,
    )


async def link(
    conn: Connection, case_id: UUID, article_ids: Sequence[UUID], via: Via, by: UUID | None
) -> None:
    """Link these articles, those of them that there are. A person's link takes back a revocation."""
    await conn.execute(
        """
        INSERT INTO case_links AS known (case_id, article_id, via, linked_by)
        SELECT $1, a.id, $3, $4 FROM articles a WHERE a.id = ANY ($2::uuid[])
        ON CONFLICT (case_id, article_id) DO UPDATE
           SET via = excluded.via, linked_by = excluded.linked_by, revoked_at = NULL, revoked_by = NULL
         WHERE excluded.via <> 'citation' OR known.revoked_at IS NULL
        """,
        case_id,
        list(article_ids),
        via,
        by,
    )


async def revoke(conn: Connection, case_id: UUID, article_id: UUID, by: UUID) -> bool:
    """Whether there was such a link; to revoke it twice changes nothing."""
    done = await conn.execute(
        """
        UPDATE case_links SET revoked_at = coalesce(revoked_at, now()), revoked_by = coalesce(revoked_by, $3)
         WHERE case_id = $1 AND article_id = $2
        """,
        case_id,
        article_id,
        by,
    )
    return done == "UPDATE 1"


async def confirm(conn: Connection, case_id: UUID, *, confirmed: bool) -> None:
    await conn.execute(
        """
        UPDATE solved_cases
           SET confirmed_at = CASE WHEN $2 THEN coalesce(confirmed_at, now()) END, updated_at = now()
         WHERE id = $1
        """,
        case_id,
        confirmed,
    )


async def delete(conn: Connection, case_id: UUID) -> bool:
    return await conn.execute("DELETE FROM solved_cases WHERE id = $1", case_id) == "DELETE 1"


async def of_ticket(conn: Connection, ticket_id: UUID) -> Case | None:
    rows = await conn.fetch(
        f"SELECT {CASE} FROM solved_cases c WHERE c.ticket_id = $1",  # noqa: S608
        ticket_id,
    )
    return next(iter(await _cases(conn, rows)), None)


async def of_answer(conn: Connection, message_id: UUID) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT id FROM solved_cases WHERE message_id = $1", message_id)
    return found


async def get(conn: Connection, case_id: UUID) -> Case | None:
    rows = await conn.fetch(f"SELECT {CASE} FROM solved_cases c WHERE c.id = $1", case_id)  # noqa: S608
    return next(iter(await _cases(conn, rows)), None)


async def page(conn: Connection, before: UUID | None, limit: int) -> list[Case]:
    rows = await conn.fetch(
        f"""
        SELECT {CASE} FROM solved_cases c
         WHERE $1::uuid IS NULL OR c.id < $1
         ORDER BY c.id DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
    )
    return await _cases(conn, rows)


async def _cases(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[Case]:
    return [Case(**row) for row in await _opened(conn, rows)]


async def _opened(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[dict[str, Any]]:
    """Rows with `question` and its `owner`."""
    return await vault.open_rows(conn, rows, {"question": (QUESTION, "owner")})


async def shown(conn: Connection, case_ids: Sequence[UUID], audiences: frozenset[str]) -> dict[UUID, Case]:
    """Those of these cases that count, as somebody with these audiences may see them."""
    rows = await conn.fetch(
        f"""
        SELECT {CASE} FROM solved_cases c
         WHERE c.id = ANY ($1::uuid[]) AND c.audiences && $2::text[] AND {COUNTS}
        """,  # noqa: S608
        list(case_ids),
        list(audiences),
    )
    return {case.id: case for case in await _cases(conn, rows)}


async def links(
    conn: Connection, case_ids: Sequence[str], audiences: frozenset[str]
) -> dict[str, tuple[str, ...]]:
    """What each case votes for: links that stand, of confirmed cases, to articles that may be read."""
    rows = await conn.fetch(
        """
        SELECT l.case_id::text AS case_id, array_agg(l.article_id::text ORDER BY l.article_id) AS articles
          FROM case_links l
          JOIN solved_cases c ON c.id = l.case_id
          JOIN articles a ON a.id = l.article_id
         WHERE l.case_id = ANY ($1::uuid[]) AND l.revoked_at IS NULL AND c.confirmed_at IS NOT NULL
           AND c.audiences && $2::text[] AND a.audiences && $2::text[]
         GROUP BY l.case_id
        """,
        [UUID(each) for each in case_ids],
        list(audiences),
    )
    return {row["case_id"]: tuple(row["articles"]) for row in rows}


async def subject(conn: Connection, case_id: UUID) -> Subject | None:
    rows = await conn.fetch(
        f"""
        SELECT c.id, {OWNER} AS owner, c.question, c.audiences, {COUNTS} AS counts
          FROM solved_cases c WHERE c.id = $1
        """,  # noqa: S608
        case_id,
    )
    return next(iter(await _subjects(conn, rows)), None)


async def unindexed(conn: Connection, collection: str, limit: int) -> list[Subject]:
    """Cases that count and that this collection does not have yet, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT c.id, {OWNER} AS owner, c.question, c.audiences, true AS counts FROM solved_cases c
         WHERE {COUNTS}
           AND NOT EXISTS (SELECT FROM indexed_cases i WHERE i.case_id = c.id AND i.collection = $1)
         ORDER BY c.id LIMIT $2
        """,  # noqa: S608
        collection,
        limit,
    )
    return await _subjects(conn, rows)


async def _subjects(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[Subject]:
    return [
        Subject(row["id"], row["question"], tuple(row["audiences"]), row["counts"])
        for row in await _opened(conn, rows)
    ]


async def set_indexed(conn: Connection, case_ids: Sequence[UUID], collection: str) -> None:
    """Say that the collection has these cases, those of them that are still there."""
    await conn.execute(
        """
        INSERT INTO indexed_cases (case_id, collection)
        SELECT id, $2 FROM solved_cases WHERE id = ANY ($1::uuid[])
        ON CONFLICT DO NOTHING
        """,
        list(case_ids),
        collection,
    )


async def unset_indexed(conn: Connection, case_id: UUID) -> None:
    await conn.execute("DELETE FROM indexed_cases WHERE case_id = $1", case_id)


async def indexed(conn: Connection, collection: str) -> int:
    """How many cases that collection is said to have."""
    count: int = await conn.fetchval("SELECT count(*) FROM indexed_cases WHERE collection = $1", collection)
    return count


async def collections(conn: Connection) -> set[str]:
    """Those that are said to have any case."""
    rows = await conn.fetch("SELECT DISTINCT collection FROM indexed_cases")
    return {row["collection"] for row in rows}


async def forget_index(conn: Connection, collection: str) -> None:
    await conn.execute("DELETE FROM indexed_cases WHERE collection = $1", collection)


async def confirmed(conn: Connection, limit: int) -> list[Confirmed]:
    rows = await conn.fetch(
        f"""
        SELECT c.id, {OWNER} AS owner, c.question, array_agg(l.article_id) AS articles,
               'public' = ANY (c.audiences) AS public
          FROM solved_cases c JOIN case_links l ON l.case_id = c.id AND l.revoked_at IS NULL
         WHERE c.confirmed_at IS NOT NULL
         GROUP BY c.id ORDER BY c.id DESC LIMIT $1
        """,  # noqa: S608
        limit,
        timeout=60,
    )
    found = await _opened(conn, rows)
    return [
        Confirmed(row["id"], row["question"], tuple(row["articles"]), row["public"])
        for row in reversed(found)
    ]


async def standing(conn: Connection, index: str) -> Standing:
    row = await conn.fetchrow(
        """
        SELECT EXISTS (SELECT FROM solved_cases WHERE confirmed_at IS NOT NULL) AS any,
               (SELECT weights FROM fusion_versions WHERE index_name = $1 AND active) AS weights
        """,
        index,
    )
    assert row  # noqa: S101
    return Standing(row["any"], _weights(row["weights"]))


def _weights(kept: dict[str, float] | None) -> dict[str, float] | None:
    """By voter; what was learnt when there was one voter only has its weight alone."""
    return {"wide": kept["case_weight"]} if kept and "case_weight" in kept else kept


async def add_weights(
    conn: Connection, index: str, weights: Mapping[str, float], figures: Mapping[str, Any], *, active: bool
) -> None:
    """Keep what was learnt; `active` makes it what counts from now on."""
    if active:
        await conn.execute(
            "UPDATE fusion_versions SET active = false WHERE index_name = $1 AND active", index
        )
    await conn.execute(
        "INSERT INTO fusion_versions (index_name, weights, figures, active) VALUES ($1, $2, $3, $4)",
        index,
        dict(weights),
        dict(figures),
        active,
    )


def linked(case: Case | None) -> frozenset[UUID]:
    """The articles whose links stand."""
    return (
        frozenset(each.article_id for each in case.articles if not each.revoked_at) if case else frozenset()
    )
