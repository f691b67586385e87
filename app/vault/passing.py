"""The key of what is kept elsewhere for minutes, as in Redis: one for all, another one after each erasure.

A person's own key would have to be asked of PostgreSQL at every read, which is what is to be spared. This one
lies wrapped in PostgreSQL like theirs. Once it is gone from there nothing opens what it sealed, wherever a
copy lies; processes that still know it forget it within `KNOWN_S`.
"""

import asyncio
import os
import time
from uuid import UUID

from cryptography.exceptions import InvalidTag

from app import db
from app.db import Connection, keys_of
from app.encryption import NONCE_BYTES, DataKey, KeyMissing
from app.vault import passing_repository as repository

HOLDER = UUID(int=1)
"""Nobody: whom the key is wrapped for."""

KNOWN_S = 10.0
LASTS_S = 86_400.0


async def renew(conn: Connection) -> None:
    """Throw the key away: what it sealed is not kept any more."""
    await repository.drop(conn)


class PassingKey:
    """The key, as one process knows it."""

    def __init__(self, pool: db.Pool) -> None:
        self._pool = pool
        self._key: DataKey | None = None
        self._until = 0.0
        self._asking: asyncio.Task[DataKey] | None = None

    async def known(self) -> DataKey:
        """Raises `Unavailable` where it has to be asked for and cannot be: once for all who wait for it."""
        if self._key is not None and time.monotonic() < self._until:
            return self._key
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> DataKey:
        asked = time.monotonic()
        async with db.transaction(self._pool) as conn:
            self._key = await _current(conn)
        self._until = asked + KNOWN_S
        return self._key


async def _current(conn: Connection) -> DataKey:
    """The newest key, if it is young enough and opens; else a new one, made by one process at a time."""
    keys = keys_of(conn)
    found = await repository.newest(conn, HOLDER, LASTS_S)
    if found is None:
        await repository.lock(conn)
        found = await repository.newest(conn, HOLDER, LASTS_S)
    if found is not None:
        try:
            [key] = await keys.unwrap([found])
        except KeyMissing:  # its KEK was put away: what it sealed is lost, and was to be anyway
            pass
        else:
            return key
    await repository.drop(conn)
    wrapped, key = await keys.new(HOLDER)
    await repository.add(conn, wrapped)
    return key


def seal(key: DataKey, place: str, value: bytes) -> bytes:
    """`place` is where it is kept: moved elsewhere it does not open."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.cipher.encrypt(nonce, value, place.encode())


def open_(key: DataKey, place: str, sealed: bytes) -> bytes | None:
    """`None` where another key sealed it."""
    try:
        return key.cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        return None
