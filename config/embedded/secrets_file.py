"""The passwords and keys of one home, generated once and readable by their owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from config import keyring


@dataclass(frozen=True, slots=True)
class Secrets:
    """`home_id` names this home's data where it cannot lie in the home itself."""

    postgres: str = field(repr=False)
    valkey: str = field(repr=False)
    milvus: str = field(repr=False)
    secret_key: str = field(repr=False)
    home_id: str


def load(home: Path) -> Secrets:
    """The secrets of `home`; whoever asks first makes them."""
    path = home / "secrets.json"
    if not path.exists():
        _create(path)
    return Secrets(**json.loads(path.read_text()))


def _create(path: Path) -> None:
    made = Secrets(
        postgres=secrets.token_urlsafe(24),
        valkey=secrets.token_urlsafe(24),
        milvus=secrets.token_urlsafe(24),
        secret_key=secrets.token_urlsafe(48),
        home_id=secrets.token_hex(8),
    )
    _place(path, json.dumps(asdict(made), indent=1))


def make_keys(home: Path) -> None:
    """A first key-encryption key, where the home has none; they are rotated, hence a file of their own."""
    if not (home / keyring.HOME_FILE).exists():
        first = keyring.Key(1, secrets.token_bytes(keyring.MIN_BYTES))
        _place(home / keyring.HOME_FILE, keyring.written([first]))


def _place(path: Path, text: str) -> None:
    draft = path.with_name(f".secrets.{os.getpid()}.{secrets.token_hex(4)}")
    write_private(draft, text)
    try:
        os.link(draft, path)  # of two at once, one wins, and neither reads half a file
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file only its owner can read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
