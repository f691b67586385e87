"""What the rest of the application may do with the audit. It is written by triggers, and read here."""

import json
from collections.abc import Mapping

from app.audit import opening, repository
from app.audit.chain import Entry, Head, Link
from app.audit.coverage import EXEMPT
from app.audit.opening import Place
from app.audit.schemas import AuditEntry, Change, Filters
from app.audit.verification import Break, Verification, described, verify
from app.db import Connection
from monitoring import metrics

LATE_S = 60.0
"""A change that waited longer than this was left unsealed: the sealer comes by every second."""
MOST_UNSEALED = 20


async def page(
    conn: Connection, filters: Filters, before: int | None, limit: int, *, opened: bool = False
) -> tuple[list[AuditEntry], int | None]:
    """Newest first; the cursor of the next page, if there is one.

    `opened`: with what people wrote, as far as their keys are there. That this was read is written down.
    """
    found = await repository.page(conn, filters, before, limit + 1)
    shown = found[:limit]
    texts = await opening.texts(conn, [entry for entry, _ in shown]) if opened else {}
    if texts:
        read = [entry.id for entry, _ in shown if opening.sealed(entry)]
        await repository.note(conn, "read", "audit_log", "", json.dumps({"ids": [None, read]}))
    items = [_out(entry, link, texts) for entry, link in shown]
    return items, items[-1].id if len(found) > limit else None


async def head(conn: Connection) -> Head:
    """The end of the chain now."""
    return (await repository.ends(conn))[1]


async def waiting(conn: Connection) -> tuple[int, float]:
    """How many changes are not sealed, and for how many seconds the oldest waits."""
    return await repository.waiting(conn)


async def gauge(conn: Connection) -> None:
    count, age_s = await repository.waiting(conn)
    metrics.AUDIT_UNSEALED.set(count)
    metrics.AUDIT_UNSEALED_AGE.set(age_s)
    metrics.AUDIT_POSITION.set((await head(conn)).position)


async def keep_months(conn: Connection, *, ahead: int, keep: int | None = None) -> None:
    """Make the months to come, without which nothing is sealed; drop those that ended `keep` months ago."""
    await repository.keep_partitions(conn, ahead=ahead)
    if keep is not None:
        await repository.drop_partitions(conn, keep=keep)


async def verified(conn: Connection, anchors: Mapping[int, bytes]) -> Verification:
    """The whole chain checked, within one transaction that sees one moment (REPEATABLE READ).

    Also named: what was left unsealed, and tables whose changes nobody writes down.
    """
    start, end = await repository.ends(conn)
    found = await verify(repository.links(conn), start, end, anchors)
    if start.position and not await repository.says_dropped(conn, start):
        what = f"entries up to {start.position} are gone, and no entry says that they were dropped"
        found.breaks.append(Break(start.position, what))
    for entry in await repository.unsealed(conn, older_s=LATE_S, most=MOST_UNSEALED):
        found.breaks.append(Break(None, f"{described(entry)}: never sealed (id {entry.id})"))
    for table in await unaudited(conn):
        found.breaks.append(Break(None, f"{table}: its changes are not written down, the trigger is off"))
    return found


async def unaudited(conn: Connection) -> list[str]:
    """Tables that are neither audited nor exempt."""
    return [name for name, on in (await repository.triggers(conn)).items() if not on and name not in EXEMPT]


def _out(entry: Entry, link: Link | None, texts: Mapping[Place, str]) -> AuditEntry:
    change = {
        name: Change(before=before, after=after)
        for name, (before, after) in opening.readable(entry, texts).items()
    }
    return AuditEntry(
        id=entry.id,
        position=link.position if link else None,
        hash=link.hash.hex() if link else None,
        occurred_at=entry.occurred_at,
        sealed_at=link.sealed_at if link else None,
        actor=entry.actor,
        api_key=entry.api_key,
        address=entry.address,
        cause=entry.cause,
        action=entry.action,
        object=entry.object,
        object_id=entry.object_id,
        change=change,
    )
