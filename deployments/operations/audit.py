"""Checks the audit's chain, and gives its end away to be kept elsewhere."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app import db
from app.audit import service
from app.audit.chain import anchors
from app.audit.verification import Verification


async def verify(dsn: str, kept: Sequence[str], report: Path | None) -> int:
    """Check every entry; 1 where one is broken, which is named.

    `kept` are heads, or files that name some: logs, manifests of backups, mails.
    """
    known: dict[int, bytes] = {}
    for each in kept:
        found = anchors(Path(each).read_text(errors="replace") if Path(each).is_file() else each)
        if not found:
            print(f"{each!r} is no head and no file that names one, like audit-42-5f3c…")
            return 2
        known |= found
    started = time.monotonic()
    checked = await _checked(dsn, known)
    seconds = time.monotonic() - started
    if report:
        report.write_text(json.dumps(_summary(checked, seconds), indent=2))
    _show(checked, len(known), seconds)
    return int(bool(checked.breaks))


async def head(dsn: str) -> int:
    """Print the end of the chain in one word."""
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=30)
    try:
        async with db.transaction(pool) as conn:
            print(await service.head(conn))
    finally:
        await pool.close()
    return 0


async def _checked(dsn: str, known: dict[int, bytes]) -> Verification:
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=60)
    try:
        async with db.transaction(pool) as conn:
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return await service.verified(conn, known)
    finally:
        await pool.close()


def _show(checked: Verification, known: int, seconds: float) -> None:
    if checked.breaks:
        table = Table("entry", "what is wrong", title="The audit is broken")
        for each in sorted(checked.breaks, key=lambda each: each.position or float("inf")):
            table.add_row("" if each.position is None else str(each.position), each.what)
        Console(width=None if Console().is_terminal else 200).print(table)
        first = checked.first
        assert first  # noqa: S101
        place = "not in the chain" if first.position is None else f"entry {first.position}"
        print(f"first broken: {place}: {first.what}")
    state = "broken" if checked.breaks else "whole"
    print(f"{checked.checked:,} entries in {seconds:.1f} s, {known} anchors: the chain is {state}")
    print(f"its end: {checked.end}")


def _summary(checked: Verification, seconds: float) -> dict[str, object]:
    return {
        "whole": not checked.breaks,
        "entries": checked.checked,
        "head": str(checked.end),
        "seconds": round(seconds, 3),
        "broken": [{"position": each.position, "what": each.what} for each in checked.breaks],
    }
