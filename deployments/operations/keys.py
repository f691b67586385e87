"""Key-encryption keys: which there are, what they wrap, and their rotation."""

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app import db, resealing
from app.vault.rotation import Standing
from config import keyring, keys
from config.environment import Environment, InvalidSetting

UNTIL_DONE_S = 24 * 3600.0


async def show(dsn: str, environment: Environment) -> int:
    """The keys, how many data keys each wraps, and what is not sealed yet."""
    _print(await _standing(dsn), _versions(environment))
    return 0


async def rotate(dsn: str, environment: Environment, after_s: float) -> int:
    """Add a key, which every replica accepts at once and uses `after_s` later."""
    file = _file(environment)
    key = keys.rotate(file, after_s=after_s)
    print(f"{file}: version {key.version}, used in {after_s:.0f} s")
    print("the job keep_sealed then wraps the data keys anew; `keys --now` does it at once")
    return await show(dsn, environment)


async def reseal(dsn: str, environment: Environment) -> int:
    """Do at once what the job does every minute."""
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=60)
    begun = time.monotonic()
    try:
        done = await resealing.keep(pool, lasts_s=UNTIL_DONE_S)
    finally:
        await pool.close()
    print(f"{done:,} rows in {time.monotonic() - begun:.1f} s")
    return await show(dsn, environment)


async def prune(dsn: str, environment: Environment) -> int:
    """Forget the older keys that wrap nothing any more; backups from their time still need them."""
    file = _file(environment)
    standing = await _standing(dsn)
    forgotten = keys.forget(file, keep={standing.current, *standing.data_keys})
    for key in forgotten:
        print(f"forgotten: version {key.version}, {key.kid}")
    print(f"{len(forgotten)} keys forgotten; backups made while they were used cannot be read without them")
    return 0


async def _standing(dsn: str) -> Standing:
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=60)
    try:
        async with db.transaction(pool) as conn:
            return await resealing.standing(conn)
    finally:
        await pool.close()


def _file(environment: Environment) -> Path:
    file = environment.key_encryption_key_file
    if file is None and environment.key_encryption_key is None and environment.home_keys.exists():
        file = environment.home_keys
    if file is None:
        raise InvalidSetting(
            "keys in ESERVICE_KEY_ENCRYPTION_KEY are rotated by hand: put the new one behind the old one "
            "(old,new), restart everything, then in front (new,old), restart; then drop the old one"
        )
    return file


def _versions(environment: Environment) -> dict[str, int]:
    """The versions of the keys in a file, by their names."""
    try:
        return {key.kid: key.version for key in keyring.read(_file(environment))}
    except InvalidSetting:
        return {}


def _print(standing: Standing, versions: dict[str, int]) -> None:
    table = Table("key", "version", "state", "data keys", title="Key-encryption keys")
    for kid in sorted(
        {*versions, *standing.data_keys, standing.current}, key=lambda kid: versions.get(kid, 0)
    ):
        missing = versions and kid not in versions
        state = "used" if kid == standing.current else "MISSING: its data is lost" if missing else "accepted"
        count = standing.data_keys.get(kid, 0)
        table.add_row(kid, str(versions.get(kid, "")), state, f"{count:,}")
    Console().print(table)
    for name, count in standing.unsealed.items():
        print(f"not sealed yet: {count:,} rows of {name}")
