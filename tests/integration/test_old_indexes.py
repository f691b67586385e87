"""A database from before index versions, with an index that no longer answered, is brought up to date."""

import shutil
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app import db
from config.embedded.stores import Addresses


async def test_an_index_that_did_not_answer_does_not_stop_the_migrations(
    stores: Addresses, tmp_path: Path
) -> None:
    assert stores.database_url
    name = f"old_{uuid.uuid4().hex}"
    url = urlunsplit(urlsplit(stores.database_url)._replace(path=f"/{name}"))
    admin = await asyncpg.connect(urlunsplit(urlsplit(stores.database_url)._replace(path="/postgres")))
    await admin.execute(f"CREATE DATABASE {name}")
    for file in db.MIGRATIONS.glob("00[0-3]*.sql"):
        if file.stem < "0036a":
            shutil.copy(file, tmp_path)
    await db.migrate(url, tmp_path)
    conn = await asyncpg.connect(url)
    await conn.execute(
        """
        INSERT INTO indexes (name, embedder, dimensions, chunker, active)
        VALUES ('passages', 'e', 8, 'c', true), ('forgotten', 'e', 8, 'c', false)
        """
    )
    try:
        assert await db.migrate(url) > 0
        rows = await conn.fetch("SELECT name, status FROM indexes")
        assert [tuple(row) for row in rows] == [("passages", "live")]
        await conn.execute(
            """
            INSERT INTO indexes (name, embedder, dimensions, chunker, status)
            VALUES ('next', 'e', 8, 'c', 'building')
            """
        )
        await conn.execute((db.MIGRATIONS / "0036a_indexes_that_answer.sql").read_text())
        assert await conn.fetchval("SELECT count(*) FROM indexes") == 2, "later, it has nothing to do"
    finally:
        await conn.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
