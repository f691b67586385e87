"""Envelope encryption: what texts are sealed with, and who wraps those keys.

Each person has a data key; it seals their texts (AES-256-GCM) and is itself kept wrapped by a key-encryption
key (KEK). KEKs have versions and stand outside the database: in a file or variable of ours, or in an external
vault that implements `KeyEncryption`. Nothing here asks the database; `app.vault` does.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import ServiceError, Unavailable
from config import environment, safety
from config.keyring import LOOK_EVERY_S, Keyring

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random, as NIST SP 800-38D (8.2.2) has it: good for 2^32 texts under one key."""

KEPT_S = 60.0
"""How long an unwrapped key stays in memory after its first use: pages do not ask a vault each time."""

KEPT = 10_000
"""Unwrapped keys of one process, some 500 bytes each."""

DEADLINE_S = 5.0


class KeysUnavailable(Unavailable):
    """The keys that personal data is sealed with cannot be reached; try again soon."""


class KeyMissing(ServiceError):
    """Personal data is sealed under a key-encryption key that this installation does not have (any more)."""


class Tampered(ServiceError):
    """Sealed data was changed, or put where it does not belong; it is not shown."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is stored: sealed under the KEK of that name, for that person only."""

    kek: str
    person: UUID
    blob: bytes = field(repr=False)


class KeyEncryption(Protocol):
    """Who has the KEKs: our own keyring, or a key management service that never hands them out."""

    async def current(self) -> str:
        """The name of the KEK that `wrap` uses now."""

    async def wrap(self, key: bytes, person: UUID) -> Wrapped:
        """Seal a data key under the current KEK, bound to whose it is."""

    async def unwrap(self, wrapped: Sequence[Wrapped]) -> list[bytes]:
        """Data keys in the same order; `KeyMissing` where a KEK is gone, `Tampered` where it does not fit."""


class LocalKeyEncryption:
    """KEKs of a keyring in this process; a file of them is read again when it has changed."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    async def current(self) -> str:
        return self._keys.current().kid

    async def wrap(self, key: bytes, person: UUID) -> Wrapped:
        kek, nonce = self._keys.current(), os.urandom(NONCE_BYTES)
        return Wrapped(kek.kid, person, nonce + _kek(kek.secret).encrypt(nonce, key, _bound_to(person)))

    async def unwrap(self, wrapped: Sequence[Wrapped]) -> list[bytes]:
        """Waits once for a KEK that is so new that the file was read before it was there."""
        if any(self._keys.find(each.kek) is None for each in wrapped):
            await asyncio.sleep(LOOK_EVERY_S)
        return [self._unwrap(each) for each in wrapped]

    def _unwrap(self, wrapped: Wrapped) -> bytes:
        kek = self._keys.find(wrapped.kek)
        if kek is None:
            raise KeyMissing(kek=wrapped.kek)
        nonce, sealed = wrapped.blob[:NONCE_BYTES], wrapped.blob[NONCE_BYTES:]
        try:
            return _kek(kek.secret).decrypt(nonce, sealed, _bound_to(wrapped.person))
        except InvalidTag as error:
            raise Tampered from error


def _kek(secret: bytes) -> AESGCM:
    """A key in a variable is a text of any length: HKDF (RFC 5869) makes it one of 256 bits."""
    return AESGCM(derived(secret, "eservice key encryption"))


def _bound_to(person: UUID) -> bytes:
    return b"data key of " + person.bytes


def derived(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose, from which neither the secret nor another purpose's key can be told."""
    return HKDF(SHA256(), KEY_BYTES, None, purpose.encode()).derive(secret)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A person's key, unwrapped."""

    secret: bytes = field(repr=False)
    cipher: AESGCM = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> "DataKey":
        return cls(secret, AESGCM(secret))


def of_environment() -> KeyEncryption:
    """By the keys that the environment names, else the home's."""
    return LocalKeyEncryption(safety.key_encryption_keys(environment.read()))


class DataKeys:
    """What the connections of one pool seal and open by: unwrapped keys, `at_most` of them and `ttl_s` long.

    A key is remembered by what it is wrapped as, which the database is asked for each time: destroyed there,
    it is of no use here; made in a transaction that was rolled back, it is never found again.
    """

    def __init__(
        self,
        open_: Callable[[], KeyEncryption] = of_environment,
        *,
        ttl_s: float = KEPT_S,
        at_most: int = KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_` is called when the first key is needed: many processes need none."""
        self._open = open_
        self._encryption: KeyEncryption | None = None
        self._ttl_s = ttl_s
        self._at_most = at_most
        self._clock = clock
        self._kept: OrderedDict[Wrapped, tuple[DataKey, float]] = OrderedDict()
        self.purposes: dict[str, bytes] = {}
        """Keys that hash instead of sealing, by what for; these stay as they are for good."""

    @property
    def encryption(self) -> KeyEncryption:
        if self._encryption is None:
            self._encryption = self._open()
        return self._encryption

    async def new(self, person: UUID) -> tuple[Wrapped, DataKey]:
        """A key for somebody who has none."""
        secret = os.urandom(KEY_BYTES)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self.encryption.wrap(secret, person), DataKey.of(secret)
        except TimeoutError as error:
            raise KeysUnavailable from error

    async def unwrap(self, wrapped: Sequence[Wrapped]) -> list[DataKey]:
        """In the same order; who has the KEKs is asked once, for those that are not in memory."""
        found = {each: key for each in set(wrapped) if (key := self._look(each))}
        missing = [each for each in dict.fromkeys(wrapped) if each not in found]
        if missing:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    secrets = await self.encryption.unwrap(missing)
            except TimeoutError as error:
                raise KeysUnavailable from error
            for each, secret in zip(missing, secrets, strict=True):
                found[each] = self._keep(each, DataKey.of(secret))
        return [found[each] for each in wrapped]

    async def rewrap(self, wrapped: Wrapped) -> Wrapped:
        """The same key under the current KEK."""
        [secret] = await self.encryption.unwrap([wrapped])
        return await self.encryption.wrap(secret, wrapped.person)

    def forget(self, person: UUID) -> None:
        for each in [each for each in self._kept if each.person == person]:
            del self._kept[each]

    def _look(self, wrapped: Wrapped) -> DataKey | None:
        kept = self._kept.get(wrapped)
        if kept is None or kept[1] <= self._clock():
            self._kept.pop(wrapped, None)
            return None
        return kept[0]

    def _keep(self, wrapped: Wrapped, key: DataKey) -> DataKey:
        self._kept[wrapped] = key, self._clock() + self._ttl_s
        while len(self._kept) > self._at_most:
            self._kept.popitem(last=False)
        return key
