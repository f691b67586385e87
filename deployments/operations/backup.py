"""Backup and restore of PostgreSQL, which holds the truth; `pipelines.rebuild` makes Milvus from it again.

One consistent snapshot by pg_dump, the embedded PostgreSQL's own or the PATH's. Keys are not in it: without
them the sealed fields of a backup stay sealed, so keep those elsewhere. Beside it lies a manifest: the file's
hash, and the end of the audit's chain before the dump began, which no later one may contradict.
"""

import asyncio
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from app import db
from app.audit import service as audit
from app.audit.chain import Head
from config.embedded import postgres

TIMEOUT_S = 4 * 3600.0


class BackupFailed(RuntimeError):
    """The database was not saved or not restored; the message says why."""


async def save(dsn: str, file: Path) -> int:
    """Write the database to `file`, which appears only once it is whole."""
    if file.exists():
        raise BackupFailed(f"{file} is there already; a backup is never written over")
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        head = await _head(dsn)
        await _run("pg_dump", dsn, "--format=custom", "--no-owner", "--no-privileges", f"--file={draft}")
        draft.chmod(0o600)
        manifest(file).write_text(json.dumps(_described(draft, head), indent=2))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    print(f"{file}: {file.stat().st_size:,} bytes, {await _rows(dsn)}, audited up to {head or 'nothing'}")
    return 0


def manifest(file: Path) -> Path:
    """What is known of a backup; `audit verify --anchor` takes it."""
    return file.with_name(f"{file.name}.json")


def _described(file: Path, head: Head | None) -> dict[str, str | None]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made_at": made, "sha256": digest, "audit_head": str(head) if head else None}


async def restore(dsn: str, file: Path, *, replace: bool = False) -> int:
    """Make the database what `file` holds, wholly or not at all, then apply newer migrations."""
    if not file.is_file():
        raise BackupFailed(f"there is no {file}")
    await _make_room(dsn, replace)
    flags = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    await _run("pg_restore", dsn, *flags, str(file))
    applied = await db.migrate(dsn)
    print(f"restored: {await _rows(dsn)}; {applied} newer migrations applied")
    print(f"check its audit: python -m deployments.operations audit verify --anchor {manifest(file)}")
    print("now build the index from it: python -m pipelines.rebuild")
    return 0


async def _make_room(dsn: str, replace: bool) -> None:
    conn = await asyncpg.connect(_plain(dsn), timeout=10)
    try:
        tables = await conn.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        if tables and not replace:
            raise BackupFailed(f"the database has {tables} tables; --replace deletes them first")
        if tables:
            await conn.execute("DROP SCHEMA public CASCADE")
            await conn.execute("CREATE SCHEMA public")
    finally:
        await conn.close()


async def _head(dsn: str) -> Head | None:
    """`None` where the database is older than the audit."""
    try:
        conn = await asyncpg.connect(_plain(dsn), timeout=10)
    except (*db.LOST, asyncpg.PostgresError) as error:
        raise BackupFailed(f"pg_dump would find no database: {error}") from error
    try:
        return await audit.head(conn)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await conn.close()


async def _rows(dsn: str) -> str:
    """What people recognise their desk by."""
    conn = await asyncpg.connect(_plain(dsn), timeout=10)
    try:
        counts = [
            f"{await conn.fetchval(f'SELECT count(*) FROM {table}'):,} {table}"  # noqa: S608  # constants
            for table in ("tickets", "articles", "users")
        ]
        return ", ".join(counts)
    finally:
        await conn.close()


async def _run(program: str, dsn: str, *arguments: str) -> None:
    """The password goes by the environment: a command line can be read by everybody on the machine."""
    parts = urlsplit(_plain(dsn))
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    address = urlunsplit(parts._replace(netloc=f"{user}{host}"))
    environ = os.environ | ({"PGPASSWORD": unquote(parts.password)} if parts.password else {})
    process = await asyncio.create_subprocess_exec(
        *(str(_find(program)), f"--dbname={address}", *arguments),
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, said = await process.communicate()
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        raise BackupFailed(f"{program}: {said.decode(errors='replace').strip()[:1000]}")


def _find(program: str) -> Path:
    """The embedded PostgreSQL's, of the version this is tested with; elsewhere the PATH's."""
    embedded = postgres.program() / "bin" / program
    if embedded.exists():
        return embedded
    if found := shutil.which(program):
        return Path(found)
    raise BackupFailed(f"{program} is not there; install PostgreSQL's client programs")


def _plain(dsn: str) -> str:
    return dsn.replace("?pgbouncer=true", "")
