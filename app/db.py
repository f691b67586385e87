"""PostgreSQL: the pool, one transaction a request, and the migrations."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app import attribution
from app.attribution import Attribution
from app.encryption import DataKeys
from app.errors import Overloaded, Unavailable
from monitoring import instruments, postgresql

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x65_5365_7276  # "eServ": any number will do, as long as it is always this one

ACQUIRE_S = 8.0
"""More than a connection takes at its worst: a replica's 256 requests share a pool of 6 in the local profile,
which is 43 turns of some 10 ms on a quiet machine and of 100 ms on one that is ten times too busy."""

LOST = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises while PostgreSQL is away or on its way back."""


class DatabaseDown(Unavailable):
    """PostgreSQL is not answering; nothing was changed. Try again soon."""


class PoolBusy(Overloaded):
    """All connections to PostgreSQL are in use; nothing was changed. Try again soon."""


class MigrationError(RuntimeError):
    """The database and the migrations of this code do not fit together."""


class AttributedConnection(postgresql.Connection):
    """Tells PostgreSQL who acts, for the audit (`app/attribution.py`)."""

    def opening(self) -> str:
        return attribution.current().statement


async def connect(
    dsn: str, *, max_size: int, statement_timeout_s: float, keys: DataKeys | None = None
) -> Pool:
    """A pool whose connections speak JSON and give up on a statement after `statement_timeout_s`.

    `keys` are what `app.vault` opens its sealed texts with; by default by the environment's KEKs.

    It opens connections when they are needed, so that a replica starts while PostgreSQL is away. Behind a
    pgbouncer in transaction mode (`?pgbouncer=true`) no prepared statement is kept: it would mix them up.
    """
    plain, pgbouncer = dsn.replace("?pgbouncer=true", ""), dsn.endswith("?pgbouncer=true")
    return await asyncpg.create_pool(
        plain,
        min_size=0,
        max_size=max_size,
        init=partial(_prepare, keys or DataKeys()),
        connection_class=AttributedConnection,
        command_timeout=statement_timeout_s,
        timeout=5,
        statement_cache_size=0 if pgbouncer else 200,
        reset=_nothing_to_undo,
    )


async def _nothing_to_undo(_: Connection) -> None:
    """In place of asyncpg's four statements at every release, which a request waits for several times over.

    Nothing is left in a session, as a pgbouncer in transaction mode would ask too: settings and cursors are
    their transaction's, and a lock is let go by who took it. asyncpg itself rolls back what is still open.
    """


async def _prepare(keys: DataKeys, conn: Connection) -> None:
    await speak_json(conn)
    cast(Any, conn).data_keys = keys


def keys_of(conn: Connection) -> DataKeys:
    """The keys that this connection's pool was opened with."""
    return cast(DataKeys, cast(Any, conn).data_keys)


async def speak_json(conn: Connection) -> None:
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


@asynccontextmanager
async def transaction(pool: Pool, *, timeout_s: float = ACQUIRE_S) -> AsyncIterator[Connection]:
    """One connection in one transaction; `DatabaseDown` where PostgreSQL is away.

    `PoolBusy` where it is there, and all connections have been in use for `timeout_s`. What is counted
    `if_committed` within is counted once it is.
    """
    try:
        conn = await pool.acquire(timeout=timeout_s)
    except TimeoutError as error:
        busy = pool.get_size() == pool.get_max_size() and pool.get_idle_size() == 0
        raise PoolBusy if busy else DatabaseDown from error
    except LOST as error:
        raise DatabaseDown from error
    try:
        try:
            with instruments.settled():
                async with conn.transaction():
                    yield conn
        finally:
            await pool.release(conn)
    except LOST as error:
        raise DatabaseDown from error


async def attribute(conn: Connection, who: Attribution) -> None:
    """Say within a transaction who acts, where that was only found out in it."""
    attribution.act(who)
    await conn.execute(who.statement)


@asynccontextmanager
async def connection(pool: Pool, *, timeout_s: float = 5) -> AsyncIterator[Connection]:
    """One connection for a single statement that reads, without a transaction around it."""
    try:
        async with pool.acquire(timeout=timeout_s) as conn:
            yield conn
    except LOST as error:
        raise DatabaseDown from error


async def again(call: Callable[[], Awaitable[T]], *, tries: int = 3) -> T:
    """Repeat a reading call whose connection turns out to be dead, as after a restart of PostgreSQL."""
    for attempt in range(tries):
        try:
            return await call()
        except (DatabaseDown, *LOST):
            if attempt == tries - 1:
                raise
            await asyncio.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


async def read(pool: Pool, call: Callable[[Connection], Awaitable[T]]) -> T:
    """Read with one statement, again where the connection is dead.

    It needs no transaction around it: that spares two of three round trips.
    """

    async def once() -> T:
        try:
            async with pool.acquire(timeout=5) as conn:
                return await call(conn)
        except LOST as error:
            raise DatabaseDown from error

    return await again(once)


async def migrate(dsn: str, folder: Path = MIGRATIONS) -> int:
    """Apply what is new in `folder`, in order, each file in a transaction of its own; how many were applied.

    A file that opens with `-- no-transaction` runs statement by statement. The lock is polled: a backend
    that waits for an advisory lock would deadlock with CREATE INDEX CONCURRENTLY.
    """
    conn = await asyncpg.connect(dsn, statement_cache_size=0, timeout=10)
    try:
        while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATION_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        await conn.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                version text PRIMARY KEY,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        applied = {
            row["version"]: row["checksum"] for row in await conn.fetch("SELECT * FROM schema_migrations")
        }
        files = sorted(folder.glob("[0-9]*.sql"))
        if ahead := set(applied) - {file.stem for file in files}:
            raise MigrationError(f"the database is ahead of this code: {', '.join(sorted(ahead))}")
        new = [file for file in files if not _is_applied(file, applied)]
        for file in new:
            await _apply(conn, file)
        if folder == MIGRATIONS:  # also after months without a Worker: an event without its month is refused
            await conn.execute("SELECT make_month_partitions('domain_events', 3)")
            await conn.execute("SELECT make_month_partitions('audit_log', 3)")
        return len(new)
    finally:
        await conn.close()


def _is_applied(file: Path, applied: dict[str, str]) -> bool:
    if file.stem not in applied:
        return False
    if applied[file.stem] != _checksum(file):
        raise MigrationError(f"{file.name} was changed after it was applied; add a new migration instead")
    return True


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


async def _apply(conn: "asyncpg.Connection[asyncpg.Record]", file: Path) -> None:
    sql = file.read_text()
    record = ("INSERT INTO schema_migrations (version, checksum) VALUES ($1, $2)", file.stem, _checksum(file))
    if sql.startswith("-- no-transaction"):
        for statement in filter(str.strip, re.split(r";\s*\n", sql)):
            await conn.execute(statement)
        await conn.execute(*record)
        return
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '5s'")
        await conn.execute(sql)
        await conn.execute(*record)


async def is_migrated(conn: Connection, folder: Path = MIGRATIONS) -> bool:
    """Whether every migration of this code was applied."""
    if not await conn.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return False
    applied = {row["version"] for row in await conn.fetch("SELECT version FROM schema_migrations")}
    return {file.stem for file in folder.glob("[0-9]*.sql")} <= applied
