"""Key files with versions, for ESERVICE_SECRET_KEY_FILE and ESERVICE_KEY_ENCRYPTION_KEY_FILE.

    python -m config.keys rotate FILE [--after SECONDS]   add a key (and make the file, where there is none)
    python -m config.keys list FILE
    python -m config.keys prune FILE --keep N             forget all but the newest N

A new key is accepted at once and used `--after` seconds later, when every replica has read it. Prune a file
of signing keys no sooner than access tokens last; one of key-encryption keys, when nothing is wrapped by the
old ones any more: `python -m deployments.operations keys` knows.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from config import keyring
from config.embedded.secrets_file import write_private
from config.keyring import MIN_BYTES, FixedKeys, Key, UnusableKeys

SPREAD_S = 120.0
"""Longer than a Kubernetes node takes to renew a mounted secret (sync period 60 s and its cache)."""


def rotate(file: Path, *, after_s: float = SPREAD_S) -> Key:
    """Add a key of 256 random bits; in a file without any it is used at once."""
    keys = keyring.read(file) if file.exists() else []
    version = keys[-1].version + 1 if keys else 1
    key = Key(version, secrets.token_bytes(MIN_BYTES), time.time() + after_s if keys else 0.0)
    write_private(file, keyring.written([*keys, key]))
    return key


def prune(file: Path, *, keep: int) -> list[Key]:
    """Forget all but the newest `keep`; which were forgotten. The key in use stays in any case."""
    keys = keyring.read(file)
    current = FixedKeys(keys).current()
    kept = [key for key in keys if key in keys[-keep:] or key.version >= current.version]
    write_private(file, keyring.written(kept))
    return [key for key in keys if key not in kept]


def forget(file: Path, *, keep: Collection[str]) -> list[Key]:
    """Forget the keys that are older than the one in use and not named in `keep`; which were forgotten."""
    keys = keyring.read(file)
    current = FixedKeys(keys).current()
    kept = [key for key in keys if key.kid in keep or key.version >= current.version]
    write_private(file, keyring.written(kept))
    return [key for key in keys if key not in kept]


def main(arguments: list[str] | None = None) -> int:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m config.keys", description=summary)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("rotate", "list", "prune"):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        if name == "rotate":
            command.add_argument("--after", type=float, default=SPREAD_S, metavar="SECONDS")
        if name == "prune":
            command.add_argument("--keep", type=int, required=True, metavar="N", choices=range(1, 100))
    chosen = parser.parse_args(arguments)
    try:
        match chosen.command:
            case "rotate":
                rotate(chosen.file, after_s=chosen.after)
            case "prune":
                print(f"forgotten: {len(prune(chosen.file, keep=chosen.keep))}")
        _show(chosen.file)
    except (UnusableKeys, OSError) as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


def _show(file: Path) -> None:
    keys = keyring.read(file)
    current = FixedKeys(keys).current()
    for key in keys:
        at = datetime.fromtimestamp(key.active_from, UTC).isoformat(timespec="seconds")
        use = "used" if key == current else "accepted" if key.version < current.version else f"used from {at}"
        print(f"{key.version:>4}  {key.kid}  {use}")


if __name__ == "__main__":
    sys.exit(main())
