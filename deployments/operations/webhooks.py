"""Webhooks on a terminal: how they fare, and what they did not take sent again."""

from datetime import UTC, datetime
from uuid import UUID

from rich.console import Console
from rich.table import Table

from app import db
from app.webhooks import replaying, service
from app.webhooks.rows import Standing
from config.webhooks import WebhookSettings

USAGE = 2


async def run(dsn: str, settings: WebhookSettings, replay: str | None, since: str | None) -> int:
    """List them, or replay to the one with that id, or to `all` that are on, from `since` on."""
    begin = _time(since)
    if replay and begin is None:
        print("--replay needs --since with a time like 2026-01-31T12:00:00Z")
        return USAGE
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=30)
    try:
        async with db.transaction(pool) as conn:
            found = await service.overview(conn)
        if replay is None or begin is None:
            _show(found)
            return 0
        wanted = [each.id for each in found if each.enabled] if replay == "all" else [UUID(replay)]
        for endpoint_id in wanted:
            await _replay(pool, endpoint_id, begin, settings)
    except ValueError:
        print(f"{replay!r} is not the id of a webhook; without --replay they are listed")
        return USAGE
    finally:
        await pool.close()
    return 0


async def _replay(pool: db.Pool, endpoint_id: UUID, since: datetime, settings: WebhookSettings) -> None:
    queued, at = 0, since
    while True:
        async with db.transaction(pool) as conn:
            done = await replaying.replay(conn, "system:operations", endpoint_id, at, settings)
        queued += done.queued
        if done.next_since is None:
            break
        if done.next_since == at:
            print(f"{endpoint_id}: its queue is full; later go on with --since {at.isoformat()}")
            break
        at = done.next_since
    print(f"{endpoint_id}: {queued} queued again")


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None


def _show(found: list[Standing]) -> None:
    table = Table("id", "description", "events", "state", "waiting", "given up", title="Webhooks")
    for each in found:
        events = ", ".join(each.event_types)[:60]
        table.add_row(
            str(each.id), each.description, events, _state(each), f"{each.pending:,}", f"{each.dead:,}"
        )
    Console().print(table)


def _state(each: Standing) -> str:
    if not each.enabled:
        return f"off: {each.off_because}" if each.off_because else "off"
    return f"failing since {each.failing_since:%Y-%m-%d %H:%M}" if each.failing_since else "on"
