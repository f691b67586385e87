"""What a decision about a request costs: one script in Valkey for its address and its user.

Starts a Valkey of its own; a few seconds. `python benchmarks/rate_limits.py [--requests N]`
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from app import cache
from app.limits.buckets import Claim
from app.limits.limiter import Limiter
from config import profile
from config.embedded.stores import Stores


async def measure(redis_url: str, requests: int) -> None:
    redis = cache.connect(redis_url, timeout_s=2)
    limiter, limits = Limiter(redis), profile.load("local").limits
    claims = [
        Claim("address-reading", "127.0.0.1", limits.rate("address", "reading")),
        Claim("user-reading", "somebody", limits.rate("user", "reading")),
    ]
    for _ in range(100):
        await limiter.take(claims)
    alone = [await _timed(limiter.take(claims)) for _ in range(requests)]
    started = time.perf_counter()
    for _ in range(requests // 32):
        await asyncio.gather(*(limiter.take(claims) for _ in range(32)))
    rate = requests // 32 * 32 / (time.perf_counter() - started)
    cuts = statistics.quantiles(alone, n=100)
    print(f"one after the other: p50 {cuts[49]:.3f} ms, p95 {cuts[94]:.3f} ms, p99 {cuts[98]:.3f} ms")
    print(f"32 at a time: {rate:,.0f} decisions/s from one process")
    await redis.aclose()


async def _timed(call: Any) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="es-bench-") as folder:
        Path(folder).chmod(0o755)
        stores = Stores(Path(folder) / "home", wanted=frozenset({"valkey"}))
        try:
            url = cast(str, stores.start().redis_url)
            asyncio.run(measure(url, arguments.requests))
        finally:
            stores.destroy()


if __name__ == "__main__":
    main()
