"""Keeps everything sealed, and every data key under the KEK of now; in batches, beside the desk's work."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from app.db import Connection, keys_of
from app.encryption import KEY_BYTES, DataKey
from app.vault import repository, sealing
from app.vault.repository import Unsealed
from app.vault.service import Item, Vault, keys_of_people, open_all
from app.vault.tables import Table


@dataclass(frozen=True, slots=True)
class Resealed:
    """A row that was not sealed before, and the texts in it."""

    key: UUID
    person: UUID
    texts: dict[str, str]
    readable: bool
    """Whether its person was not erased meanwhile; if they were, nobody can open what was made of it."""


async def rewrap(conn: Connection, limit: int) -> int:
    """Wrap up to `limit` data keys anew that an older KEK wraps; how many there were."""
    keys = keys_of(conn)
    found = await repository.under_other_keks(conn, await keys.encryption.current(), limit)
    await repository.replace(conn, [(id_, was, await keys.rewrap(was)) for id_, was in found])
    return len(found)


async def reseal(conn: Connection, table: Table, limit: int) -> list[Resealed]:
    """Seal up to `limit` rows that are not; rows that others hold are left for the next time."""
    rows = await repository.unsealed(conn, table, limit)
    places = [
        (row, column, value) for row in rows for column, value in row.values.items() if value is not None
    ]
    items: list[Item] = [(Vault(table.place(column)), row.person, value) for row, column, value in places]
    texts: dict[UUID, dict[str, str]] = {row.key: {} for row in rows}
    for (row, column, _), text in zip(places, await open_all(conn, items), strict=True):
        texts[row.key][column] = text
    keys = await keys_of_people(conn, {row.person for row in rows})
    done = [Resealed(row.key, row.person, texts[row.key], row.person in keys) for row in rows]
    if done:
        await repository.write(conn, table, [_sealed(table, each, keys.get(each.person)) for each in done])
    return done


def _sealed(table: Table, row: Resealed, key: tuple[UUID, DataKey] | None) -> Unsealed:
    """What is left of somebody who was erased is sealed by a key that nobody keeps."""
    id_, by = key or (uuid4(), DataKey.of(os.urandom(KEY_BYTES)))
    values: dict[str, bytes | None] = dict.fromkeys(table.columns)
    for column, text in row.texts.items():
        values[column] = sealing.seal(id_, by, table.place(column), row.person, text)
    return Unsealed(row.key, row.person, values)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it has come."""

    current: str
    data_keys: dict[str, int]
    """By the KEK that wraps them."""
    unsealed: dict[str, int]
    """Rows by table; tables without any are left out."""


async def standing(conn: Connection, tables: Collection[Table]) -> Standing:
    counts = {table.name: await repository.count_unsealed(conn, table) for table in tables}
    current = await keys_of(conn).encryption.current()
    unsealed = {name: count for name, count in counts.items() if count}
    return Standing(current, await repository.counts(conn), unsealed)
