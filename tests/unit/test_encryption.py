"""Data keys: wrapped, kept for a while, rotated; sealed texts that do not open where they do not belong."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import encryption
from app.encryption import (
    DataKey,
    DataKeys,
    KeyEncryption,
    KeyMissing,
    KeysUnavailable,
    LocalKeyEncryption,
    Tampered,
    Wrapped,
)
from app.vault import sealing
from config import keys
from config.keyring import FileKeys, FixedKeys

OLD, NEW = "an older key-encryption key, long enough", "a newer key-encryption key, long enough"
ANNA, BEN = uuid4(), uuid4()
KEY_ID, KEY = uuid4(), DataKey.of(secrets.token_bytes(32))


def local(*newest_first: str) -> LocalKeyEncryption:
    return LocalKeyEncryption(FixedKeys.of(*newest_first))


class Counting:
    """A key management service that says how often it was asked, and may be slow."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.inner, self.asked, self.delay_s = local(OLD), 0, delay_s

    async def current(self) -> str:
        return await self.inner.current()

    async def wrap(self, key: bytes, person: UUID) -> Wrapped:
        return await self.inner.wrap(key, person)

    async def unwrap(self, wrapped: Sequence[Wrapped]) -> list[bytes]:
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        return await self.inner.unwrap(wrapped)


def given_by(service: KeyEncryption) -> Callable[[], KeyEncryption]:
    return lambda: service


@given(text=st.text(st.characters(exclude_categories=["Cs"])), person=st.uuids())
def test_what_is_sealed_opens_again_and_does_not_show(text: str, person: UUID) -> None:
    sealed = sealing.seal(KEY_ID, KEY, "tickets.body", person, text)
    assert sealing.open_(KEY, "tickets.body", person, sealed) == text
    assert sealing.key_id(sealed) == KEY_ID
    assert len(text) < 4 or text.encode() not in sealed
    assert sealed != sealing.seal(KEY_ID, KEY, "tickets.body", person, text), "a nonce is used once"


@given(place=st.integers(1, 200), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(place: int, bit: int) -> None:
    sealed = bytearray(sealing.seal(KEY_ID, KEY, "tickets.body", ANNA, "My card was charged twice."))
    place = max(1, place % len(sealed))
    sealed[place] ^= 1 << bit
    if sealing.ID.start <= place < sealing.ID.stop:
        assert sealing.key_id(bytes(sealed)) != KEY_ID
    else:
        with pytest.raises(Tampered):
            sealing.open_(KEY, "tickets.body", ANNA, bytes(sealed))


@pytest.mark.parametrize(("place", "person"), [("tickets.subject", ANNA), ("tickets.body", BEN)])
def test_it_opens_only_where_it_belongs(place: str, person: UUID) -> None:
    sealed = sealing.seal(KEY_ID, KEY, "tickets.body", ANNA, "hello")
    with pytest.raises(Tampered):
        sealing.open_(KEY, place, person, sealed)


def test_what_is_not_sealed_yet_reads_as_it_is() -> None:
    assert sealing.key_id(b"\x00hello") is None
    assert sealing.open_plain("\x00größer".encode()) == "größer"
    for nothing in (b"", b"\x02abc", b"\x01abc"):
        with pytest.raises(Tampered):
            sealing.key_id(nothing)


async def test_a_wrapped_key_is_of_one_person_and_one_kek() -> None:
    wrapped = await local(OLD).wrap(KEY.secret, ANNA)
    assert KEY.secret not in wrapped.blob
    assert KEY.secret.hex() not in repr(wrapped) + repr(KEY)
    assert await local(NEW, OLD).unwrap([wrapped]) == [KEY.secret]
    with pytest.raises(KeyMissing):
        await local(NEW).unwrap([wrapped])
    with pytest.raises(Tampered):
        await local(OLD).unwrap([Wrapped(wrapped.kek, BEN, wrapped.blob)])


async def test_keys_are_wrapped_anew_under_the_kek_of_now() -> None:
    before = await local(OLD).wrap(KEY.secret, ANNA)
    data_keys = DataKeys(given_by(local(NEW, OLD)))
    after = await data_keys.rewrap(before)
    assert after.kek != before.kek
    assert await local(NEW).unwrap([after]) == [KEY.secret]


async def test_a_kek_added_to_the_file_is_read_by_who_meets_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys.rotate(file)
    now = 0.0
    here = LocalKeyEncryption(FileKeys(file, lambda: now))
    keys.rotate(file, after_s=-1.0)
    elsewhere = LocalKeyEncryption(FileKeys(file))
    wrapped = await elsewhere.wrap(KEY.secret, ANNA)
    now = 2.0
    assert await here.unwrap([wrapped]) == [KEY.secret]


async def test_a_page_asks_once_and_the_next_not_at_all() -> None:
    service, now = Counting(), 0.0
    data_keys = DataKeys(given_by(service), ttl_s=60, clock=lambda: now)
    wrapped = [await service.wrap(secrets.token_bytes(32), uuid4()) for _ in range(3)]
    first = await data_keys.unwrap([*wrapped, wrapped[0]])
    assert first[0] is first[3]
    assert await data_keys.unwrap(wrapped) == first[:3]
    assert service.asked == 1
    now = 61.0
    await data_keys.unwrap(wrapped)
    assert service.asked == 2


async def test_memory_is_bounded_and_a_destroyed_key_leaves_it() -> None:
    service = Counting()
    data_keys = DataKeys(given_by(service), at_most=2)
    wrapped = [await service.wrap(secrets.token_bytes(32), uuid4()) for _ in range(3)]
    for each in wrapped:
        await data_keys.unwrap([each])
    await data_keys.unwrap(wrapped[1:])
    assert service.asked == 3
    await data_keys.unwrap(wrapped[:1])
    assert service.asked == 4, "the oldest had to go"
    data_keys.forget(wrapped[0].person)
    await data_keys.unwrap(wrapped[:1])
    assert service.asked == 5


async def test_who_has_the_keks_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "DEADLINE_S", 0.05)
    service = Counting(delay_s=5.0)
    with pytest.raises(KeysUnavailable):
        await DataKeys(given_by(service)).unwrap([await service.wrap(KEY.secret, ANNA)])
