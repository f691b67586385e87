"""Every SQL statement that touches data keys, and those that look for what is not sealed yet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.db import Connection
from app.encryption import Wrapped
from app.vault.tables import Table


@dataclass(frozen=True, slots=True)
class Row:
    """A data key; `wrapped` is `None` once it was destroyed."""

    id: UUID
    wrapped: Wrapped | None
    settled: bool
    """Whether it was there before this transaction began, so that a rollback cannot take it away."""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A row and its columns that are to be sealed; null stays null."""

    key: UUID
    person: UUID
    values: dict[str, bytes | None]


COLUMNS = "id, person_id, kek, wrapped, created_at < now() AS settled"


def _row(row: "asyncpg.Record") -> Row:
    wrapped = Wrapped(row["kek"], row["person_id"], row["wrapped"]) if row["wrapped"] is not None else None
    return Row(row["id"], wrapped, row["settled"])


async def of_people(conn: Connection, people: Collection[UUID]) -> dict[UUID, Row]:
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM data_keys WHERE person_id = ANY($1)",  # noqa: S608
        list(people),
    )
    return {row["person_id"]: _row(row) for row in rows}


async def by_ids(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Wrapped]:
    """Those of the keys that are there; destroyed ones are not."""
    rows = await conn.fetch(
        "SELECT id, person_id, kek, wrapped FROM data_keys WHERE id = ANY($1) AND wrapped IS NOT NULL",
        list(ids),
    )
    return {row["id"]: Wrapped(row["kek"], row["person_id"], row["wrapped"]) for row in rows}


async def add(conn: Connection, new: Wrapped) -> UUID | None:
    """`None` where the person has one meanwhile: another transaction's, for whose end this waits."""
    added: UUID | None = await conn.fetchval(
        """
        INSERT INTO data_keys (person_id, kek, wrapped) VALUES ($1, $2, $3)
        ON CONFLICT (person_id) DO NOTHING RETURNING id
        """,
        new.person,
        new.kek,
        new.blob,
    )
    return added


async def destroy(conn: Connection, person: UUID) -> None:
    """Also of somebody who never had one: nothing is to be sealed for them from now on."""
    await conn.execute(
        """
        INSERT INTO data_keys (person_id, kek, destroyed_at) VALUES ($1, '', now())
        ON CONFLICT (person_id) DO UPDATE
           SET wrapped = NULL, destroyed_at = coalesce(data_keys.destroyed_at, now())
        """,
        person,
    )


async def under_other_keks(conn: Connection, kek: str, limit: int) -> list[tuple[UUID, Wrapped]]:
    """Keys that another KEK wraps, some more than `limit`: two ends of an index, empty most of the time."""
    rows = await conn.fetch(
        """
        (SELECT id, person_id, kek, wrapped FROM data_keys
          WHERE wrapped IS NOT NULL AND kek < $1 ORDER BY kek LIMIT $2)
        UNION ALL
        (SELECT id, person_id, kek, wrapped FROM data_keys
          WHERE wrapped IS NOT NULL AND kek > $1 ORDER BY kek LIMIT $2)
        """,
        kek,
        limit,
    )
    return [(row["id"], Wrapped(row["kek"], row["person_id"], row["wrapped"])) for row in rows]


async def replace(conn: Connection, changed: Sequence[tuple[UUID, Wrapped, Wrapped]]) -> int:
    """Write keys wrapped anew, where they still are what they were; how many were."""
    rows = await conn.fetch(
        """
        UPDATE data_keys k SET kek = n.kek, wrapped = n.wrapped
          FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::bytea[]) AS n (id, was, kek, wrapped)
         WHERE k.id = n.id AND k.wrapped = n.was
        RETURNING k.id
        """,
        [id_ for id_, _, _ in changed],
        [was.blob for _, was, _ in changed],
        [new.kek for _, _, new in changed],
        [new.blob for _, _, new in changed],
    )
    return len(rows)


async def counts(conn: Connection) -> dict[str, int]:
    """Data keys by the KEK that wraps them."""
    rows = await conn.fetch(
        "SELECT kek, count(*) AS n FROM data_keys WHERE wrapped IS NOT NULL GROUP BY kek ORDER BY kek"
    )
    return {row["kek"]: row["n"] for row in rows}


async def unsealed(conn: Connection, table: Table, limit: int) -> list[Unsealed]:
    """Rows that are not wholly sealed, locked, leaving out what others hold."""
    rows = await conn.fetch(
        f"""
        SELECT {table.key} AS key, {table.person} AS person, {", ".join(table.columns)}
          FROM {table.name} WHERE {table.unsealed} LIMIT $1
           FOR NO KEY UPDATE SKIP LOCKED
        """,  # noqa: S608  # names that stand in the code
        limit,
    )
    return [Unsealed(row["key"], row["person"], {c: row[c] for c in table.columns}) for row in rows]


async def write(conn: Connection, table: Table, rows: Sequence[Unsealed]) -> None:
    columns = ", ".join(f"{column} = n.{column}" for column in table.columns)
    arrays = ", ".join(f"${place}::bytea[]" for place, _ in enumerate(table.columns, 2))
    await conn.execute(
        f"""
        UPDATE {table.name} t SET {columns}
          FROM unnest($1::uuid[], {arrays}) AS n (key, {", ".join(table.columns)})
         WHERE t.{table.key} = n.key
        """,  # noqa: S608
        [row.key for row in rows],
        *([row.values[column] for row in rows] for column in table.columns),
    )


async def count_unsealed(conn: Connection, table: Table) -> int:
    count: int = await conn.fetchval(f"SELECT count(*) FROM {table.name} WHERE {table.unsealed}")  # noqa: S608
    return count
