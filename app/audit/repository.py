"""Every SQL statement that touches the audit. Entries are written by triggers (migrations/0070_audit.sql)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import astuple
from datetime import datetime

import asyncpg

from app.audit.chain import Entry, Head, Link
from app.audit.schemas import Filters
from app.db import Connection

ENTRY = "id, occurred_at, actor, api_key, address, cause, action, object, object_id, change"
LINK = f"position, sealed_at, hash, {ENTRY}"
FETCHED = 2000
"""Entries that verification asks for at once."""
MATCHING = """
      ($1::bigint IS NULL OR id < $1)
  AND ($2::text IS NULL OR actor = $2) AND ($6::text IS NULL OR cause = $6)
  AND ($3::text IS NULL OR object = $3) AND ($4::text IS NULL OR object_id = $4)
  AND ($5::text IS NULL OR action = $5)
  AND ($7::timestamptz IS NULL OR occurred_at >= $7) AND ($8::timestamptz IS NULL OR occurred_at < $8)
"""


async def hold_head(conn: Connection) -> tuple[Head, datetime] | None:
    """The end of the chain and the time, held until this transaction ends; `None` while another holds it."""
    row = await conn.fetchrow(
        "SELECT position, hash, sealed_at, now() AS now FROM audit_head FOR UPDATE SKIP LOCKED"
    )
    return (Head(row["position"], row["hash"], row["sealed_at"]), row["now"]) if row else None


async def take(conn: Connection, most: int) -> list[Entry]:
    """What was committed and is not sealed, in the order of writing; it leaves `audit_pending`."""
    rows = await conn.fetch(f"SELECT {ENTRY} FROM take_audit($1) ORDER BY id", most)  # noqa: S608
    return [_entry(row) for row in rows]


async def append(conn: Connection, links: Sequence[Link]) -> None:
    """Put these behind the end of the chain, which is held."""
    await conn.copy_records_to_table(
        "audit_log",
        records=[(each.position, each.sealed_at, each.hash, *astuple(each.entry)) for each in links],
        columns=[name.strip() for name in LINK.split(",")],
    )
    last = links[-1]
    await conn.execute(
        "UPDATE audit_head SET position = $1, hash = $2, sealed_at = $3",
        last.position,
        last.hash,
        last.sealed_at,
    )


async def ends(conn: Connection) -> tuple[Head, Head]:
    """What stands before the first entry that is kept, and the end of the chain."""
    row = await conn.fetchrow("SELECT * FROM audit_head")
    assert row  # noqa: S101  # the migration puts it there, nothing deletes it
    moment = row["sealed_at"]
    return (
        Head(row["start_position"], row["start_hash"], moment),
        Head(row["position"], row["hash"], moment),
    )


async def links(conn: Connection) -> AsyncIterator[Link]:
    """The whole chain in its order, inside a transaction; never more than `FETCHED` of it at a time."""
    async for row in conn.cursor(
        f"SELECT {LINK} FROM audit_log ORDER BY position, sealed_at",  # noqa: S608
        prefetch=FETCHED,
    ):
        yield Link(row["position"], row["sealed_at"], row["hash"], _entry(row))


async def unsealed(conn: Connection, *, older_s: float, most: int) -> list[Entry]:
    """What has waited longer than that to be sealed, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT {ENTRY} FROM audit_pending
         WHERE occurred_at < now() - make_interval(secs => $1) ORDER BY id LIMIT $2
        """,  # noqa: S608
        older_s,
        most,
    )
    return [_entry(row) for row in rows]


async def waiting(conn: Connection) -> tuple[int, float]:
    """How many changes are not sealed, and for how many seconds the oldest waits."""
    row = await conn.fetchrow(
        """
        SELECT count(*) AS n,
               greatest(coalesce(extract(epoch FROM now() - min(occurred_at)), 0), 0)::float8 AS age
          FROM audit_pending
        """
    )
    assert row  # noqa: S101
    return row["n"], row["age"]


async def page(
    conn: Connection, filters: Filters, before: int | None, limit: int
) -> list[tuple[Entry, Link | None]]:
    """Newest first, also what is not sealed yet; `None` beside those."""
    rows = await conn.fetch(
        f"""
        (SELECT {LINK} FROM audit_log WHERE {MATCHING} AND ($7::timestamptz IS NULL OR sealed_at >= $7)
          ORDER BY id DESC LIMIT $9)
        UNION ALL
        (SELECT NULL, NULL, NULL, {ENTRY} FROM audit_pending WHERE {MATCHING} ORDER BY id DESC LIMIT $9)
        ORDER BY id DESC LIMIT $9
        """,  # noqa: S608
        before,
        filters.actor,
        filters.object,
        filters.object_id,
        filters.action,
        filters.cause,
        filters.since,
        filters.until,
        limit,
    )
    return [
        (entry, Link(row["position"], row["sealed_at"], row["hash"], entry) if row["position"] else None)
        for row in rows
        for entry in (_entry(row),)
    ]


async def note(conn: Connection, action: str, of: str, object_id: str, change: str) -> None:
    """Write down what no trigger sees."""
    await conn.execute("SELECT audit_note($1, $2, $3, $4)", action, of, object_id, change)


async def keep_partitions(conn: Connection, *, ahead: int) -> int:
    made: int = await conn.fetchval("SELECT make_month_partitions('audit_log', $1)", ahead)
    return made


async def drop_partitions(conn: Connection, *, keep: int) -> int:
    dropped: int = await conn.fetchval("SELECT drop_audit_months($1)", keep)
    return dropped


async def says_dropped(conn: Connection, start: Head) -> bool:
    """Whether an entry, or a change that is to be one, says that the chain was cut off before `start`."""
    found: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM (SELECT action, object, object_id, change FROM audit_log
                          UNION ALL SELECT action, object, object_id, change FROM audit_pending) AS entries
             WHERE object = 'audit_log' AND action = 'dropped' AND object_id = $1
               AND change::jsonb -> 'hash' ->> 0 = $2)
        """,
        str(start.position),
        start.hash.hex(),
    )
    return found


async def triggers(conn: Connection) -> dict[str, bool]:
    """Of every table of ours, whether changes of its rows are audited now."""
    rows = await conn.fetch(
        """
        SELECT c.relname AS name,
               EXISTS (SELECT FROM pg_trigger
                        WHERE tgrelid = c.oid AND tgname = 'audit' AND tgenabled = 'O') AS on
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         ORDER BY c.relname
        """
    )
    return {row["name"]: row["on"] for row in rows}


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(*(row[name] for name in Entry.__slots__))
