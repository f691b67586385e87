"""Whether writers wait for the audit's chain: the same mutations with and without a sealer, in one run.

    python -m benchmarks.audit [--rate 500] [--seconds 20] [--json FILE]

On the home's embedded PostgreSQL, or what DATABASE_URL names, in a database of its own. Mutations start on a
fixed clock, whether or not earlier ones are done, and are timed from when they should have started: a queue
shows as latency. With and without the sealer alternate every `WINDOW_S`: what the machine does meets both.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app import attribution, db
from app.attribution import Attribution
from app.audit import service
from app.audit.sealer import Sealer
from config import environment
from config.embedded.stores import Stores, unnamed
from config.profile import AuditSettings

WINDOW_S = 2.5
ROWS = 1000
BY = Attribution("user:0199c0de-0000-7000-8000-000000000000", "203.0.113.7", "request:benchmark")
MUTATION = """
UPDATE tickets
   SET priority = (ARRAY['low', 'normal', 'high', 'urgent']::ticket_priority[])[$2], version = version + 1
 WHERE number = $1
"""


async def populate(pool: db.Pool) -> int:
    async with db.transaction(pool) as conn:
        await conn.execute(r"INSERT INTO users (email, name, role) VALUES ('\x0061', '\x0061', 'customer')")
        await conn.execute(
            r"""
            INSERT INTO tickets (customer_id, subject, body)
            SELECT id, '\x01'::bytea || sha512('subject'), '\x01'::bytea ||
                   (SELECT string_agg(sha512(n::text::bytea), '') FROM generate_series(1, 9) n)
              FROM users, generate_series(1, $1)
            """,
            ROWS,
        )
        first: int = await conn.fetchval("SELECT min(number) FROM tickets")
        return first


async def window(pool: db.Pool, first: int, rate: int, seconds: float, start: int) -> list[float]:
    """Latencies in ms of `rate` mutations a second."""
    spent: list[float] = []

    async def mutate(n: int, due: float) -> None:
        with attribution.acting(BY):
            async with db.transaction(pool, timeout_s=30) as conn:
                await conn.execute(MUTATION, first + n % ROWS, 1 + n // ROWS % 4)
        spent.append(1000 * (time.perf_counter() - due))

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            due = begun + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(mutate(start + n, due))
    return spent


def beside(dsn: str, on: Any, end: Any) -> None:
    """A sealer in a process of its own, as the Worker's is; seals each second while `on` is set."""

    async def seal() -> None:
        pool = await db.connect(dsn, max_size=1, statement_timeout_s=30)
        sealer = Sealer(pool, AuditSettings(tell_s=1e9))
        while not end.is_set():
            if on.is_set():
                await sealer.once()
            await asyncio.sleep(1.0)
        await pool.close()

    asyncio.run(seal())


async def measured(dsn: str, rate: int, seconds: float) -> dict[str, Any]:
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=16, statement_timeout_s=30)
    apart = await db.connect(dsn, max_size=1, statement_timeout_s=30)  # a worker's, not the writers'
    first = await populate(pool)
    spent: dict[bool, list[float]] = {True: [], False: []}
    sealing: list[float] = []
    processes = multiprocessing.get_context("spawn")
    on, end = processes.Event(), processes.Event()
    other = processes.Process(target=beside, args=(dsn, on, end), daemon=True)
    other.start()
    await window(pool, first, rate, 3.0, 0)
    for turn in range(2 * round(seconds / WINDOW_S)):
        with_sealer = turn % 2 == 0
        sealer = Sealer(apart, AuditSettings(tell_s=1e9))
        if with_sealer:
            on.set()
        spent[with_sealer] += await window(pool, first, rate, WINDOW_S, turn * 10_000)
        on.clear()
        begun = time.perf_counter()
        before = await head(apart)
        await sealer.once()
        if not with_sealer and (sealed := await head(apart) - before):
            sealing.append(sealed / (time.perf_counter() - begun))
    end.set()
    await asyncio.to_thread(other.join, 10)
    begun = time.perf_counter()
    async with db.transaction(apart) as conn:
        checked = await service.verified(conn, {})
    verifying = checked.checked / (time.perf_counter() - begun)
    result = {
        "rate_per_s": rate,
        "seconds_each": seconds,
        "with_sealer": figures(spent[True]),
        "without_sealer": figures(spent[False]),
        "ratio_p50": round(quantile(spent[True], 0.5) / quantile(spent[False], 0.5), 3),
        "ratio_p95": round(quantile(spent[True], 0.95) / quantile(spent[False], 0.95), 3),
        "ratio_mean": round(statistics.fmean(spent[True]) / statistics.fmean(spent[False]), 3),
        "entries": checked.checked,
        "whole": not checked.breaks,
        "sealed_per_s": round(statistics.median(sealing)),
        "verified_per_s": round(verifying),
        "price": await price(apart),
    }
    await pool.close()
    await apart.close()
    return result


async def head(pool: db.Pool) -> int:
    async with db.transaction(pool) as conn:
        return (await service.head(conn)).position


async def price(pool: db.Pool, rounds: int = 400) -> dict[str, float]:
    """Median microseconds: BEGIN and COMMIT without and with an actor, an UPDATE without and with trigger."""
    async with pool.acquire() as conn:
        said = BY.statement
        spent: dict[str, list[float]] = {
            name: [] for name in ("plain", "attributed", "no_trigger", "trigger")
        }

        async def timed(name: str, *statements: str) -> None:
            begun = time.perf_counter()
            for statement in statements:
                await conn.execute(statement)
            spent[name].append(1e6 * (time.perf_counter() - begun))

        update = "UPDATE tickets SET version = version + 1 WHERE number = (SELECT min(number) FROM tickets)"
        for _ in range(rounds):
            await timed("plain", "BEGIN; ", "COMMIT")
            await timed("attributed", f"BEGIN; {said}", "COMMIT")
        for name, state in (("no_trigger", "DISABLE"), ("trigger", "ENABLE")) * 4:
            await conn.execute(f"ALTER TABLE tickets {state} TRIGGER audit")
            for _ in range(rounds // 4):
                await conn.execute("BEGIN; ")
                await timed(name, update)
                await conn.execute("ROLLBACK")
    return {name: round(statistics.median(each), 1) for name, each in spent.items()}


def figures(spent: Sequence[float]) -> dict[str, float]:
    return {
        "mutations": len(spent),
        "p50_ms": round(quantile(spent, 0.5), 2),
        "p95_ms": round(quantile(spent, 0.95), 2),
        "p99_ms": round(quantile(spent, 0.99), 2),
    }


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[int(q * (len(values) - 1))]


async def in_a_database_of_its_own(dsn: str, rate: int, seconds: float) -> dict[str, Any]:
    name = f"audit_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        return await measured(urlunsplit(urlsplit(dsn)._replace(path=f"/{name}")), rate, seconds)
    finally:
        with suppress(asyncpg.PostgresError):
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    env = environment.read()
    with Stores(env.home, wanted=unnamed(env) & {"postgres"}) as addresses:
        dsn = addresses.database_url or env.require_database_url()
        result = asyncio.run(in_a_database_of_its_own(dsn, options.rate, options.seconds))
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
