"""Links committed changes to the chain, in batches, about every second.

One sealer works at a time, however many processes have one: whoever holds the row `audit_head`. Taking the
changes, appending them and moving the head are one transaction, so that a sealer that dies anywhere leaves
nothing half done. Writers never wait for it, nor it for them: a change that commits late is sealed late.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import structlog

from app import db
from app.audit import repository
from app.audit.chain import Entry, Head, Link, seal
from app.recurring import Recurring
from config.profile import AuditSettings

log = structlog.get_logger(__name__)


class Sealer:
    def __init__(self, pool: db.Pool, settings: AuditSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._told: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Seal until `stop` is set."""
        seal_s, timeout_s = self._settings.seal_s, self._settings.timeout_s
        await Recurring(self._turn, every_s=seal_s, timeout_s=timeout_s, failed=_failed).run(stop)

    async def _turn(self) -> bool:
        if head := await self.once():
            self._tell(head)
        return False

    async def once(self) -> Head | None:
        """Seal all there is, batch by batch; the new end, `None` where nothing was sealed here."""
        head = None
        while True:
            async with db.transaction(self._pool) as conn:
                held = await repository.hold_head(conn)
                entries = await repository.take(conn, self._settings.batch) if held else []
                if not held or not entries:
                    return head
                added = linked(*held, entries)
                await repository.append(conn, added)
            head = Head(added[-1].position, added[-1].hash, added[-1].sealed_at)
            if len(added) < self._settings.batch:
                return head

    def _tell(self, head: Head) -> None:
        """Anchors in the log: what is shipped from there, nobody who can change the database can change."""
        now = time.monotonic()
        if self._told is None or now - self._told >= self._settings.tell_s:
            self._told = now
            log.info("audit sealed", head=str(head))


def _failed(error: Exception, retry_s: float) -> None:
    """The changes wait in their table."""
    log.warning("the audit is not sealed", retry_s=retry_s, exc_info=error)


def linked(head: Head, now: datetime, entries: Sequence[Entry]) -> list[Link]:
    """These entries behind `head`. Their time never goes back, though the server's clock may."""
    moment, previous = max(now, head.sealed_at), head.hash
    links = []
    for position, entry in enumerate(entries, start=head.position + 1):
        previous = seal(previous, position, moment, entry)
        links.append(Link(position, moment, previous, entry))
    return links
