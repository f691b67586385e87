"""What a sealed value looks like.

    00 | text in UTF-8                          not sealed yet: what a migration made of a plain column
    01 | key id (16) | nonce (12) | ciphertext and tag

The ciphertext is bound to the place it lies in and to whose it is: copied elsewhere it does not open.
"""

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag

from app.encryption import NONCE_BYTES, DataKey, Tampered
from app.errors import Invalid

PLAIN, SEALED = 0, 1
ID = slice(1, 17)
NONCE = slice(17, 17 + NONCE_BYTES)
HEAD_BYTES = 17 + NONCE_BYTES


class Unsealable(Invalid):
    """A text has a character that no text may have."""


def seal(key_id: UUID, key: DataKey, place: str, person: UUID, text: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    try:
        sealed = key.cipher.encrypt(nonce, text.encode(), _bound_to(place, person))
    except UnicodeEncodeError as error:
        raise Unsealable from error
    return bytes([SEALED]) + key_id.bytes + nonce + sealed


def key_id(sealed: bytes) -> UUID | None:
    """The key that opens it; `None` where it is not sealed yet."""
    if sealed[:1] == bytes([PLAIN]):
        return None
    if sealed[:1] != bytes([SEALED]) or len(sealed) < HEAD_BYTES:
        raise Tampered
    return UUID(bytes=bytes(sealed[ID]))


def open_plain(sealed: bytes) -> str:
    return sealed[1:].decode()


def open_(key: DataKey, place: str, person: UUID, sealed: bytes) -> str:
    try:
        plain = key.cipher.decrypt(sealed[NONCE], sealed[HEAD_BYTES:], _bound_to(place, person))
    except InvalidTag as error:
        raise Tampered from error
    return plain.decode()


def _bound_to(place: str, person: UUID) -> bytes:
    return place.encode() + b"\x00" + person.bytes
