"""Texts sealed under a person's key in a real database: made, read, erased; also at once and rolled back."""

import asyncio
import os
from uuid import uuid4

import pytest

from app import db
from app.encryption import DataKeys, KeyMissing, LocalKeyEncryption, Tampered
from app.vault import repository, rotation, service
from app.vault.service import DESK, ERASED, PersonErased, Vault
from app.vault.tables import Table
from config.keyring import FixedKeys

NOTES, TITLES = Vault("notes.body"), Vault("notes.title")


class Undone(Exception):
    """Raised to roll back."""


async def test_each_person_has_one_key_and_reads_back(conn: db.Connection) -> None:
    anna, ben = uuid4(), uuid4()
    for person in (anna, ben):
        for text in ("", "My card was charged twice.", "größer 🦉"):
            sealed = await NOTES.seal(conn, person, text)
            assert await NOTES.open(conn, person, sealed) == text
    assert await conn.fetchval("SELECT count(*) FROM data_keys") == 2


async def test_many_at_once_also_what_is_not_sealed_yet(conn: db.Connection) -> None:
    anna, ben = uuid4(), uuid4()
    mine, title = await service.seal_all(conn, anna, [(NOTES, "hers"), (TITLES, "her title")])
    his = await NOTES.seal(conn, ben, "his")
    items = [(NOTES, anna, mine), (NOTES, ben, his), (TITLES, anna, title), (NOTES, ben, b"\x00plain")]
    assert await service.open_all(conn, items) == ["hers", "his", "her title", "plain"]
    assert await NOTES.open_many(conn, [(ben, his), (anna, mine)]) == ["his", "hers"]
    assert await service.open_all(conn, []) == []
    for vault, person, sealed in ((TITLES, anna, mine), (NOTES, ben, mine)):
        with pytest.raises(Tampered):
            await vault.open(conn, person, sealed)


async def test_a_destroyed_key_erases_and_nothing_is_sealed_for_them_again(conn: db.Connection) -> None:
    anna, ben = uuid4(), uuid4()
    hers, his = await NOTES.seal(conn, anna, "hers"), await NOTES.seal(conn, ben, "his")
    await service.destroy(conn, anna)
    await service.destroy(conn, anna)
    assert await NOTES.open_many(conn, [(anna, hers), (ben, his)]) == [ERASED, "his"]
    with pytest.raises(PersonErased):
        await NOTES.seal(conn, anna, "again")
    await service.destroy(conn, stranger := uuid4())
    with pytest.raises(PersonErased):
        await NOTES.seal(conn, stranger, "ever")
    with pytest.raises(ValueError, match="desk's own"):
        await service.destroy(conn, DESK)


async def test_another_replica_notices_a_destroyed_key_at_once(
    database_url: str, conn: db.Connection
) -> None:
    """It has the key in memory, but asks whether it is still there."""
    elsewhere = await db.connect(database_url, max_size=1, statement_timeout_s=5)
    anna = uuid4()
    sealed = await NOTES.seal(conn, anna, "hers")
    async with elsewhere.acquire() as other:
        assert await NOTES.open(other, anna, sealed) == "hers"
        await service.destroy(conn, anna)
        assert await NOTES.open(other, anna, sealed) == ERASED
        with pytest.raises(PersonErased):
            await NOTES.seal(other, anna, "again")
    elsewhere.terminate()


async def test_of_many_who_need_a_new_key_at_once_all_get_the_same(pool: db.Pool) -> None:
    anna = uuid4()

    async def write(n: int) -> bytes:
        async with db.transaction(pool) as conn:
            return await NOTES.seal(conn, anna, f"note {n}")

    sealed = await asyncio.gather(*(write(n) for n in range(10)))
    async with db.transaction(pool) as conn:
        texts = await NOTES.open_many(conn, [(anna, each) for each in sealed])
    assert texts == [f"note {n}" for n in range(10)]


async def test_a_key_that_was_rolled_back_seals_nothing_afterwards(pool: db.Pool, database_url: str) -> None:
    anna = uuid4()

    async def undone() -> None:
        async with db.transaction(pool) as conn:
            await NOTES.seal(conn, anna, "lost")
            await service.hashed(conn, "words", ["lost"])
            raise Undone

    for _ in range(2):
        with pytest.raises(Undone):
            await undone()
    async with db.transaction(pool) as conn:
        sealed, word = await NOTES.seal(conn, anna, "kept"), await service.hashed(conn, "words", ["kept"])
    fresh = await db.connect(database_url, max_size=1, statement_timeout_s=5)
    async with db.transaction(fresh) as conn:
        assert await NOTES.open(conn, anna, sealed) == "kept"
        assert await service.hashed(conn, "words", ["kept"]) == word
    fresh.terminate()


async def test_hashes_are_the_same_for_ever_and_say_nothing_across_purposes(conn: db.Connection) -> None:
    invoice, vault = await service.hashed(conn, "words", ["invoice", "vault"])
    assert [invoice] == await service.hashed(conn, "words", ["invoice"])
    assert len({invoice, vault, *await service.hashed(conn, "addresses", ["invoice"])}) == 3


async def test_without_the_kek_nothing_opens_and_it_says_so(database_url: str, conn: db.Connection) -> None:
    anna = uuid4()
    sealed = await NOTES.seal(conn, anna, "hers")
    strange = DataKeys(lambda: LocalKeyEncryption(FixedKeys.of("another key-encryption key altogether")))
    pool = await db.connect(database_url, max_size=1, statement_timeout_s=5, keys=strange)
    async with pool.acquire() as other:
        with pytest.raises(KeyMissing):
            await NOTES.open(other, anna, sealed)
        assert await NOTES.open(other, anna, b"\x00plain") == "plain"
    pool.terminate()


NEW_KEK = "the key-encryption key that comes after, long enough"


def rotated(*newest_first: str) -> DataKeys:
    return DataKeys(lambda: LocalKeyEncryption(FixedKeys.of(*newest_first)))


async def test_rewrapped_keys_open_what_they_sealed_without_the_old_kek(
    database_url: str, conn: db.Connection
) -> None:
    people = [uuid4() for _ in range(5)]
    sealed = [(person, await NOTES.seal(conn, person, f"of {person}")) for person in people]
    old = os.environ["ESERVICE_KEY_ENCRYPTION_KEY"]
    both = await db.connect(database_url, max_size=1, statement_timeout_s=5, keys=rotated(NEW_KEK, old))
    async with both.acquire() as other:
        assert [await rotation.rewrap(other, 3) for _ in range(3)] == [3, 2, 0]
        standing = await rotation.standing(other, [])
        assert standing.data_keys == {standing.current: 5}
    both.terminate()
    new = await db.connect(database_url, max_size=1, statement_timeout_s=5, keys=rotated(NEW_KEK))
    async with new.acquire() as other:
        assert await NOTES.open_many(other, sealed) == [f"of {person}" for person in people]
    new.terminate()


async def test_what_a_migration_left_is_sealed_row_by_row(conn: db.Connection) -> None:
    """Also what belongs to somebody who was erased meanwhile: that can be read by nobody afterwards."""
    await conn.execute(
        """
        CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT uuidv7(), owner uuid, body bytea, title bytea)
        """
    )
    anna, gone = uuid4(), uuid4()
    await conn.executemany(
        "INSERT INTO notes (owner, body, title) VALUES ($1, $2, $3)",
        [(anna, b"\x00one", None), (anna, b"\x00two", b"\x00title"), (gone, b"\x00hers", None)],
    )
    await conn.execute(
        "INSERT INTO notes (owner, body) VALUES ($1, $2)", anna, await NOTES.seal(conn, anna, "three")
    )
    await service.destroy(conn, gone)
    notes = Table("notes", "body", "title", person="owner")
    assert (await rotation.standing(conn, [notes])).unsealed == {"notes": 3}
    assert [len(await rotation.reseal(conn, notes, 2)) for _ in range(3)] == [2, 1, 0]
    rows = await conn.fetch("SELECT owner, body, title FROM notes ORDER BY id")
    texts = await NOTES.open_many(conn, [(row["owner"], row["body"]) for row in rows])
    assert texts == ["one", "two", ERASED, "three"]
    assert await TITLES.open(conn, anna, rows[1]["title"]) == "title"
    assert not any(text in row["body"] for text in (b"one", b"two", b"hers") for row in rows)


async def test_rewrapping_brings_no_destroyed_key_back(conn: db.Connection) -> None:
    anna = uuid4()
    await NOTES.seal(conn, anna, "hers")
    [(key_id, before)] = await repository.under_other_keks(conn, "another", 10)
    after = await db.keys_of(conn).rewrap(before)
    await service.destroy(conn, anna)
    assert await repository.replace(conn, [(key_id, before, after)]) == 0
    assert await repository.under_other_keks(conn, "another", 10) == []


async def test_rows_open_with_all_their_people_at_once(conn: db.Connection) -> None:
    anna, ben = uuid4(), uuid4()
    rows = [
        {"owner": anna, "body": await NOTES.seal(conn, anna, "one"), "title": None, "size": 3},
        {"owner": ben, "body": b"\x00two", "title": await TITLES.seal(conn, ben, "title"), "size": 3},
    ]
    fields = {"body": (NOTES, "owner"), "title": (TITLES, "owner")}
    assert await service.open_rows(conn, rows, fields) == [
        {"owner": anna, "body": "one", "title": None, "size": 3},
        {"owner": ben, "body": "two", "title": "title", "size": 3},
    ]
