"""Keys with versions: the newest that is due is used, older ones still read what they signed or sealed.

A file of keys is watched, so that a new key needs no restart; `python -m config.keys` writes it.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

MIN_BYTES = 32
"""An HS256 key shorter than its hash weakens it (RFC 7518, section 3.2); AES-256 takes exactly as many."""

HOME_FILE = "keys.json"
"""Key-encryption keys of a home with embedded stores."""

LOOK_EVERY_S = 1.0
"""A file is looked at again no sooner, however many unknown key ids are asked for."""


class UnusableKeys(ValueError):
    """The keys cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    version: int
    secret: bytes = field(repr=False)
    active_from: float = 0.0
    """Unix time from which it is used; it is accepted at once, so that no replica meets a key it lacks."""

    @property
    def kid(self) -> str:
        """A name for the key that says nothing about it."""
        return hashlib.sha256(b"kid:" + self.secret).hexdigest()[:12]


class Keyring(Protocol):
    def current(self) -> Key:
        """The key to use now."""

    def find(self, kid: str) -> Key | None:
        """The key of that name, if it is still accepted."""


class FixedKeys:
    """Keys that stay as they are while the process runs."""

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise UnusableKeys("there is no key")
        self._keys = {key.kid: key for key in sorted(keys, key=lambda key: key.version)}

    @classmethod
    def of(cls, *secrets_newest_first: str) -> "FixedKeys":
        count = len(secrets_newest_first)
        return cls([Key(count - i, secret.encode()) for i, secret in enumerate(secrets_newest_first)])

    def current(self) -> Key:
        keys = list(self._keys.values())
        due = [key for key in keys if key.active_from <= time.time()]
        return due[-1] if due else keys[0]

    def find(self, kid: str) -> Key | None:
        return self._keys.get(kid)


class FileKeys:
    """The keys of a file, read again when it has changed; where that fails the known ones go on."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._keys = FixedKeys(read(path))
        self._looked_at = clock()

    def current(self) -> Key:
        self._look()
        return self._keys.current()

    def find(self, kid: str) -> Key | None:
        found = self._keys.find(kid)
        if found is None:
            self._look()
            found = self._keys.find(kid)
        return found

    def _look(self) -> None:
        if self._clock() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = self._clock()
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys, self._stamp = FixedKeys(read(self._path)), stamp
        except (OSError, UnusableKeys):  # half a rotation must not log everybody out
            return


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def read(path: Path) -> list[Key]:
    """The keys of a file, oldest first; `UnusableKeys` names the file and what is wrong with it."""
    try:
        entries = json.loads(path.read_text())["keys"]
        keys = [
            Key(int(each["version"]), base64.urlsafe_b64decode(each["key"]), float(each["active_from"]))
            for each in entries
        ]
    except OSError as error:
        raise UnusableKeys(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableKeys(f"{path} is no key file; `python -m config.keys rotate FILE` makes one") from error
    if len({key.version for key in keys}) < len(keys):
        raise UnusableKeys(f"{path} has two keys of one version")
    if any(len(key.secret) < MIN_BYTES for key in keys):
        raise UnusableKeys(f"{path} has a key of fewer than {MIN_BYTES} bytes")
    return sorted(keys, key=lambda key: key.version)


def written(keys: Sequence[Key]) -> str:
    """The text of a key file."""
    entries = [
        {
            "version": key.version,
            "key": base64.urlsafe_b64encode(key.secret).decode(),
            "active_from": key.active_from,
        }
        for key in keys
    ]
    return json.dumps({"keys": entries}, indent=1)
