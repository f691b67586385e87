"""Real stores for the tests that want them: one server each for the session, a database for each test."""

import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from hypothesis import settings
from redis.asyncio import Redis

from app import cache, db
from config.embedded.stores import Addresses, Stores

TEMPLATE = "eservice_template"
IN_MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Of bytes; a run uses 0.3 of them, the long tests with 200,000 tickets about 2."""

# Tests, and the processes they start, seal by this: never by the keys of the home of a running service.
os.environ["ESERVICE_KEY_ENCRYPTION_KEY"] = "what personal data is sealed with in tests"
os.environ.pop("ESERVICE_KEY_ENCRYPTION_KEY_FILE", None)

settings.register_profile("eservice", deadline=None)  # a shared machine is slow at times
settings.load_profile("eservice")


def pytest_configure() -> None:
    """Plain tracebacks in the log: structlog's, drawn by rich, took seconds each."""
    *processors, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain])


def pytest_collection_finish() -> None:
    """Spare what the imports made: looking through it took a seventh of the integration tests' time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def stores() -> Iterator[Addresses]:
    """PostgreSQL, Valkey and Milvus Lite in a home that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="es-tests-", dir=in_memory()))
    folder.chmod(0o755)  # PostgreSQL does not run as root: its user has to reach the folder
    embedded = Stores(folder / "home")
    try:
        yield embedded.start()
    finally:
        embedded.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def template_url(stores: Addresses) -> str:
    """A migrated database that each test's own is copied from."""
    assert stores.database_url
    await _hurry(stores.database_url)
    await _administer(stores.database_url, f"CREATE DATABASE {TEMPLATE}")
    url = _database(stores.database_url, TEMPLATE)
    await db.migrate(url)
    return url


@pytest.fixture
async def database_url(template_url: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    await _administer(template_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield _database(template_url, name)
    await _administer(template_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[db.Pool]:
    """Connections to this test's own database."""
    opened = await db.connect(database_url, max_size=10, statement_timeout_s=10)
    yield opened
    opened.terminate()


@pytest.fixture
async def conn(pool: db.Pool) -> AsyncIterator[db.Connection]:
    """A connection outside any transaction: what a test writes with it, others see at once."""
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture
async def redis(stores: Addresses) -> AsyncIterator[Redis]:
    assert stores.redis_url
    client = cache.connect(stores.redis_url, timeout_s=2)
    await client.flushdb()
    yield client
    await client.aclose()


def in_memory() -> Path | None:
    """Where files cost nothing, if there is room.

    ext4 looks for a new file's inode past every one deleted lately: with a database dropped by each test
    before, the next took 0.7 s to make; it takes 0.06 s here.
    """
    if not os.access(IN_MEMORY, os.W_OK):
        return None
    disk = os.statvfs(IN_MEMORY)
    runs_programs = (
        not disk.f_flag & os.ST_NOEXEC
    )  # a copy of PostgreSQL's, for an account that reaches no other
    return IN_MEMORY if runs_programs and disk.f_bavail * disk.f_frsize >= ROOM else None


def _database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _hurry(url: str) -> None:
    """Let the disk be written when the system likes.

    Whatever ends the server's process, all is there; only a machine without power would lose some.
    """
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        await _administer(url, f"ALTER SYSTEM SET {name} = off")
    await _administer(url, "SELECT pg_reload_conf()")


async def _administer(url: str, statement: str) -> None:
    conn = await asyncpg.connect(_database(url, "postgres"))
    try:
        await conn.execute(statement)
    finally:
        await conn.close()
