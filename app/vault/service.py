"""Texts of people, sealed each under its person's key.

    BODY = Vault("ticket_messages.body")
    sealed = await BODY.seal(conn, customer_id, "My card was charged twice.")
    text = await BODY.open(conn, customer_id, sealed)

The connection's pool has the keys (`db.connect(keys=)`). Destroying a person's key erases what was sealed for
them, wherever copies of it lie; it then reads as `ERASED`.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from app.db import Connection, keys_of
from app.encryption import DataKey, Tampered, derived
from app.errors import Conflict
from app.vault import repository, sealing

ERASED = "[erased]"
DESK = UUID(int=0)
"""Whose key hashes words and addresses, for everybody: the desk's own. It is never destroyed."""


class PersonErased(Conflict):
    """This person was erased; nothing can be written about them any more."""


class Vault:
    """Seals the texts of one place; `place` is part of what is authenticated."""

    def __init__(self, place: str) -> None:
        self.place = place

    async def seal(self, conn: Connection, person: UUID, text: str) -> bytes:
        """Under the person's key, which is made where there is none; `PersonErased` where it is destroyed."""
        [sealed] = await seal_all(conn, person, [(self, text)])
        return sealed

    async def open(self, conn: Connection, person: UUID, sealed: bytes) -> str:
        """The text, or `ERASED`."""
        [text] = await open_all(conn, [(self, person, sealed)])
        return text

    async def open_many(self, conn: Connection, sealed: Sequence[tuple[UUID, bytes]]) -> list[str]:
        """In the same order; all their keys are asked for at once."""
        return await open_all(conn, [(self, person, each) for person, each in sealed])


Item: TypeAlias = tuple[Vault, UUID, bytes]

Fields: TypeAlias = Mapping[str, tuple[Vault, str]]
"""Columns of a result that are sealed: where each lies, and which column of the result says whose it is."""


async def seal_all(conn: Connection, person: UUID, texts: Sequence[tuple[Vault, str]]) -> list[bytes]:
    """Several texts of one person, with one look for their key."""
    id_, key = await _key_of(conn, person)
    return [sealing.seal(id_, key, vault.place, person, text) for vault, text in texts]


async def open_all(conn: Connection, items: Sequence[Item]) -> list[str]:
    """Texts of several places and people at once, in the same order; asks for their keys in one statement."""
    ids = [sealing.key_id(sealed) for _, _, sealed in items]
    wrapped = await repository.by_ids(conn, {id_ for id_ in ids if id_}) if any(ids) else {}
    known = dict(zip(wrapped, await keys_of(conn).unwrap([*wrapped.values()]), strict=True))
    return [_opened(item, id_, known) for item, id_ in zip(items, ids, strict=True)]


async def open_found(conn: Connection, sealed: Sequence[tuple[Vault, bytes]]) -> list[str | None]:
    """Texts whose keys alone say whose they are, as copies in the audit; `None` for what is none of ours."""
    ids = [_key_id(each) for _, each in sealed]
    wrapped = await repository.by_ids(conn, {id_ for id_ in ids if id_})
    known = dict(zip(wrapped, await keys_of(conn).unwrap([*wrapped.values()]), strict=True))

    def opened(vault: Vault, each: bytes, id_: UUID) -> str | None:
        try:
            return _opened((vault, wrapped[id_].person if id_ in wrapped else DESK, each), id_, known)
        except Tampered:
            return None

    return [opened(vault, each, id_) if id_ else None for (vault, each), id_ in zip(sealed, ids, strict=True)]


def _key_id(sealed: bytes) -> UUID | None:
    try:
        return sealing.key_id(sealed)
    except Tampered:
        return None


async def open_rows(
    conn: Connection, rows: "Sequence[Mapping[str, Any] | asyncpg.Record]", fields: Fields
) -> list[dict[str, Any]]:
    """Rows with some of their columns opened, where they are not null; all at once, as `open_all` does."""
    found = [dict(row) for row in rows]
    places = [(row, name) for row in found for name in fields if row[name] is not None]
    items: list[Item] = [(fields[name][0], row[fields[name][1]], row[name]) for row, name in places]
    for (row, name), text in zip(places, await open_all(conn, items), strict=True):
        row[name] = text
    return found


def _opened(item: Item, id_: UUID | None, known: dict[UUID, DataKey]) -> str:
    vault, person, sealed = item
    if id_ is None:
        return sealing.open_plain(sealed)
    return sealing.open_(known[id_], vault.place, person, sealed) if id_ in known else ERASED


async def destroy(conn: Connection, person: UUID) -> None:
    """Erase what is sealed for this person, for good; nothing can be sealed for them any more."""
    if person == DESK:
        raise ValueError("the desk's own key is nobody's to destroy")
    await repository.destroy(conn, person)
    keys_of(conn).forget(person)


async def hashed(conn: Connection, purpose: str, words: Sequence[str]) -> list[bytes]:
    """Keyed hashes (HMAC-SHA-256) of words, by which they are found again without being kept."""
    keys = keys_of(conn)
    key = keys.purposes.get(purpose)
    if key is None:
        before = await repository.of_people(conn, [DESK])
        _, desk = await _key_of(conn, DESK)
        key = derived(desk.secret, purpose)
        if before and before[DESK].settled:
            keys.purposes[purpose] = key
    return [hmac.digest(key, word.encode(errors="surrogatepass"), sha256) for word in words]


async def keys_of_people(conn: Connection, people: Collection[UUID]) -> dict[UUID, tuple[UUID, DataKey]]:
    """The id and the key of each; those who were erased have none. Where one is missing it is made."""
    rows = await repository.of_people(conn, people)
    for person in sorted(set(people) - set(rows)):  # in one order, so that two who do this cannot deadlock
        wrapped, _ = await keys_of(conn).new(person)
        await repository.add(conn, wrapped)
        rows |= await repository.of_people(conn, [person])
    there = [(row.id, row.wrapped) for row in rows.values() if row.wrapped]
    unwrapped = await keys_of(conn).unwrap([wrapped for _, wrapped in there])
    return {wrapped.person: (id_, key) for (id_, wrapped), key in zip(there, unwrapped, strict=True)}


async def _key_of(conn: Connection, person: UUID) -> tuple[UUID, DataKey]:
    found = await keys_of_people(conn, [person])
    if person not in found:
        raise PersonErased
    return found[person]
