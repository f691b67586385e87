"""The chain on a real database: sealed behind its writers, and whatever is done to it afterwards is named."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app import db
from app.audit import repository, service
from app.audit.sealer import Sealer, linked
from config.profile import AuditSettings
from deployments.operations import audit as command
from deployments.operations import backup
from tests.integration.audited import entries, rename, tamper, verified


@pytest.fixture(autouse=True)
async def nothing_yet(pool: db.Pool) -> None:
    """Later migrations change audited tables too."""
    await tamper(pool, "DELETE FROM audit_pending")


@pytest.fixture
def sealer(pool: db.Pool) -> Sealer:
    return Sealer(pool, AuditSettings(batch=7))


async def test_sealed_in_the_order_of_writing_without_gaps(pool: db.Pool, sealer: Sealer) -> None:
    await rename(pool, 20)
    head = await sealer.once()
    assert head
    assert head.position == 21
    assert await sealer.once() is None
    found = await verified(pool)
    assert (found.checked, found.breaks) == (21, [])
    assert await entries(pool) == []


async def test_a_transaction_that_commits_late_is_sealed_late(pool: db.Pool, sealer: Sealer) -> None:
    async with pool.acquire() as slow:
        outer = slow.transaction()
        await outer.start()
        await slow.execute("INSERT INTO queues (name) VALUES ('slow')")
        await rename(pool, 3)
        assert (await sealer.once()).position == 4  # type: ignore[union-attr]
        await outer.commit()
    assert (await sealer.once()).position == 5  # type: ignore[union-attr]
    async with db.transaction(pool) as conn:
        ids = [link.entry.id async for link in repository.links(conn)]
    assert ids != sorted(ids), "the late one has the lowest number, and the last place"
    assert (await verified(pool)).breaks == []


async def test_many_sealers_are_one(pool: db.Pool) -> None:
    sealers = [Sealer(pool, AuditSettings(batch=3)) for _ in range(4)]

    async def write() -> None:
        await rename(pool, 15)

    async def seal(each: Sealer) -> None:
        for _ in range(20):
            await each.once()
            await asyncio.sleep(0.005)

    await asyncio.gather(write(), *map(seal, sealers))
    await sealers[0].once()
    found = await verified(pool)
    assert (found.checked, found.breaks) == (16, [])


async def test_a_sealer_that_dies_in_the_middle_leaves_nothing_half_done(
    pool: db.Pool, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rename(pool, 9)
    append = repository.append

    async def dying(conn: db.Connection, links: Any) -> None:
        await append(conn, links)
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(repository, "append", dying)
        with pytest.raises(db.DatabaseDown):
            await sealer.once()
    assert len(await entries(pool)) == 10
    assert (await verified(pool)).checked == 0
    await sealer.once()
    assert (await verified(pool)).breaks == []


async def test_writers_do_not_wait_for_a_sealer_that_hangs(pool: db.Pool, sealer: Sealer) -> None:
    await rename(pool, 3)
    async with pool.acquire() as hanging:
        batch = hanging.transaction()
        await batch.start()
        assert await repository.hold_head(hanging)
        assert len(await repository.take(hanging, 100)) == 4
        async with asyncio.timeout(30):
            await rename(pool, 20)
        assert await sealer.once() is None, "nor does another sealer"
        await batch.rollback()
    await sealer.once()
    found = await verified(pool)
    assert (found.checked, found.breaks) == (24, [])


async def test_without_a_month_nothing_is_sealed_and_everything_goes_on(
    pool: db.Pool, sealer: Sealer
) -> None:
    async with pool.acquire() as conn:
        for month in await conn.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass"
        ):
            await conn.execute(f"DROP TABLE {month[0]}")
    await rename(pool, 2)
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await sealer.once()
    await rename(pool, 2)
    async with db.transaction(pool) as conn:
        await service.keep_months(conn, ahead=1)
    await sealer.once()
    assert (await verified(pool)).checked == 5


async def test_old_months_are_dropped_from_the_front_and_the_rest_stays_whole(
    pool: db.Pool, sealer: Sealer
) -> None:
    await rename(pool, 4)
    async with db.transaction(pool) as conn:
        await conn.execute(
            """
            CREATE TABLE audit_log_y2020m01 PARTITION OF audit_log
            FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')
            """
        )
        await conn.execute("UPDATE audit_head SET sealed_at = '2020-01-01+00'")
        held = await repository.hold_head(conn)
        assert held
        long_ago = linked(held[0], datetime(2020, 1, 15, tzinfo=UTC), await repository.take(conn, 100))
        await repository.append(conn, long_ago)
    await rename(pool, 3)
    await sealer.once()
    assert (await verified(pool)).checked == 8

    async with db.transaction(pool) as conn:
        await service.keep_months(conn, ahead=1, keep=12)
    assert (await verified(pool)).checked == 3
    await sealer.once()
    found = await verified(pool, {4: long_ago[3].hash, 5: long_ago[4].hash})
    assert (found.checked, found.breaks) == (4, [])
    await tamper(pool, "DELETE FROM audit_log WHERE action = 'dropped'")
    assert any("no entry says" in each.what for each in (await verified(pool)).breaks)


@pytest.fixture
async def ten(pool: db.Pool, sealer: Sealer) -> None:
    """Ten entries that are sealed."""
    await rename(pool, 9)
    await sealer.once()


TAMPERED = {
    "one byte": (
        "UPDATE audit_log SET change = replace(change, '3', '4') WHERE position = 5",
        5,
        "was changed",
    ),
    "one row": ("DELETE FROM audit_log WHERE position = 5", 5, "missing"),
    "two rows": (
        """
        UPDATE audit_log a SET (change, id, occurred_at) = (b.change, b.id, b.occurred_at)
          FROM audit_log b WHERE (a.position, b.position) IN ((3, 8), (8, 3))
        """,
        3,
        "entries 3 and 8 were swapped",
    ),
    "the last row": ("DELETE FROM audit_log WHERE position = 10", 10, "missing at the end"),
    "an actor": ("UPDATE audit_log SET actor = 'user:somebody-else' WHERE position = 7", 7, "was changed"),
    "a moment": (
        "UPDATE audit_log SET occurred_at = occurred_at + interval '1 us' WHERE position = 7",
        7,
        "changed",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_the_command_names_what_was_done_to_the_log(
    pool: db.Pool, database_url: str, ten: None, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command.verify(database_url, [], None) == 0
    assert "the chain is whole" in capsys.readouterr().out
    statement, position, said = TAMPERED[what]
    await tamper(pool, statement)
    report = tmp_path / "report.json"
    assert await command.verify(database_url, [], report) == 1
    out = capsys.readouterr().out
    assert f"first broken: entry {position}: " in out
    first = json.loads(report.read_text())["broken"][0]
    assert first["position"] == position
    assert said in first["what"]


async def test_two_rows_that_exchanged_their_places_are_named(
    pool: db.Pool, database_url: str, ten: None
) -> None:
    await tamper(
        pool,
        "UPDATE audit_log SET position = -1 WHERE position = 4",
        "UPDATE audit_log SET position = 4 WHERE position = 5",
        "UPDATE audit_log SET position = 5 WHERE position = -1",
    )
    found = await verified(pool)
    assert [each.position for each in found.breaks] == [4, 5]
    assert all("entries 4 and 5 were swapped" in each.what for each in found.breaks)


async def test_a_row_that_is_never_sealed_is_named(
    pool: db.Pool, database_url: str, ten: None, capsys: pytest.CaptureFixture[str]
) -> None:
    await rename(pool, 1)
    assert (await verified(pool)).breaks == [], "it is not late yet"
    await tamper(pool, "UPDATE audit_pending SET occurred_at = occurred_at - interval '2 minutes'")
    assert await command.verify(database_url, [], None) == 1
    out = capsys.readouterr().out
    assert "never sealed" in out
    assert "changed queues" in out


async def test_a_trigger_that_is_off_is_named(pool: db.Pool, conn: db.Connection) -> None:
    await conn.execute("ALTER TABLE tickets DISABLE TRIGGER audit")
    [found] = (await verified(pool)).breaks
    assert found.what.startswith("tickets: its changes are not written down")


async def test_a_rewound_log_contradicts_what_was_kept_elsewhere(
    pool: db.Pool, database_url: str, ten: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command.head(database_url) == 0
    log = tmp_path / "worker.log"
    log.write_text(json.dumps({"event": "audit sealed", "head": capsys.readouterr().out.strip()}))
    await tamper(
        pool,
        "DELETE FROM audit_log WHERE position > 8",
        """
        UPDATE audit_head SET (position, hash, sealed_at) =
               (SELECT position, hash, sealed_at FROM audit_log WHERE position = 8)
        """,
    )
    assert await command.verify(database_url, [], None) == 0, "it fits itself"
    assert await command.verify(database_url, [str(log)], None) == 1
    assert "the chain once reached 10" in " ".join(capsys.readouterr().out.split())
    assert await command.verify(database_url, ["yesterday"], None) == 2


async def test_a_restored_backup_has_the_chain_and_goes_on_with_it(
    pool: db.Pool, database_url: str, sealer: Sealer, ten: None, tmp_path: Path
) -> None:
    await rename(pool, 2)
    file = tmp_path / "desk.dump"
    await backup.save(database_url, file)
    await backup.restore(database_url, file, replace=True)
    await pool.expire_connections()
    assert await command.verify(database_url, [str(backup.manifest(file))], None) == 0
    assert len(await entries(pool)) == 2, "what was not sealed is sealed after"
    await rename(pool, 1)
    await sealer.once()
    assert (await verified(pool)).checked == 13
