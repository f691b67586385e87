"""Backup, wipe, restore, rebuild: the same rows, the same search results; and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app import db
from config.embedded.stores import Addresses
from deployments.operations import backup
from models.retrieval.passages import Filters
from tests import factories
from tests.integration.knowledge import Knowledge, sample

QUESTIONS = ("two devices changed the same paragraph", "money back for a yearly plan", "FL-320")


@pytest.fixture
async def knowledge(pool: db.Pool, stores: Addresses, tmp_path: Path) -> AsyncIterator[Knowledge]:
    assert stores.milvus_uri
    made = Knowledge.new(pool, stores.milvus_uri)
    await made.index(sample(tmp_path / "articles"))
    yield made
    await made.store.close()


async def everything(dsn: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    conn = await asyncpg.connect(dsn)
    try:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return {
            name: sorted(str(row[0]) for row in await conn.fetch(f'SELECT t::text FROM "{name}" t'))
            for (name,) in tables
        }
    finally:
        await conn.close()


async def answers(knowledge: Knowledge) -> list[list[tuple[str, str, float]]]:
    """What each question finds, with its scores."""
    retriever = knowledge.retriever()
    found = [await retriever.retrieve(text, top_k=5, filters=Filters()) for text in QUESTIONS]
    assert not any(each.degraded for each in found)
    return [[(p.slug, p.text, round(p.score, 5)) for p in each.passages] for each in found]


async def test_the_same_tickets_and_the_same_answers(
    pool: db.Pool, database_url: str, knowledge: Knowledge, tmp_path: Path
) -> None:
    async with pool.acquire() as conn:
        for n in range(20):
            await factories.ticket(conn, subject=f"Ticket {n}: “naïve” \\ 'quoted'")
    rows, found = await everything(database_url), await answers(knowledge)
    assert all(found)

    file = tmp_path / "backups" / "desk.dump"
    await backup.save(database_url, file)
    assert file.stat().st_mode & 0o077 == 0, "a backup is for its owner only"
    await wipe(database_url, knowledge)
    assert await everything(database_url) == {}

    await backup.restore(database_url, file)
    assert await everything(database_url) == rows
    await pool.expire_connections()
    summary = await knowledge.index()
    assert summary.embedded == await knowledge.store.count() > 0
    assert await answers(knowledge) == found
    assert (await knowledge.index()).embedded == 0


async def wipe(database_url: str, knowledge: Knowledge) -> None:
    conn = await asyncpg.connect(database_url)
    await conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await conn.close()
    await knowledge.store.delete(sorted(await knowledge.store.ids()))
    await knowledge.store.flush()
    assert await knowledge.store.count() == 0


async def test_nothing_is_written_over_by_accident(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.dump"
    await backup.save(database_url, file)
    with pytest.raises(backup.BackupFailed, match="never written over"):
        await backup.save(database_url, file)
    with pytest.raises(backup.BackupFailed, match="--replace deletes them"):
        await backup.restore(database_url, file)
    before = await everything(database_url)
    await backup.restore(database_url, file, replace=True)
    assert await everything(database_url) == before


async def test_a_damaged_backup_changes_nothing_in_silence(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.dump"
    await backup.save(database_url, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(backup.BackupFailed, match="pg_restore"):
        await backup.restore(database_url, file, replace=True)
    with pytest.raises(backup.BackupFailed, match="there is no"):
        await backup.restore(database_url, tmp_path / "nothing.dump")


async def test_a_failed_backup_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "desk.dump"
    with pytest.raises(backup.BackupFailed, match="pg_dump"):
        await backup.save("postgresql://nobody:wrong@127.0.0.1:1/desk", file)
    assert list(tmp_path.iterdir()) == []
