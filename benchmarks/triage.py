"""`python -m benchmarks.triage [--tickets FILE] [--json FILE]`: how long triage takes over HTTP, alone.

Against the running service: `POST /api/v1/routing/preview`, which is triage, the queue's ranking and the
promise, over one connection. FILE is JSON lines, gzipped or not, with `subject body` or `title text`; by
default the sample desk's tickets. The first are not counted. Ends within a minute.
"""

import argparse
import asyncio
import gzip
import json
import os
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np

WARM_UP = 30
SAMPLES = Path(__file__).parents[1] / "examples" / "tickets.jsonl"
BODY = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=Path, default=SAMPLES)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('ESERVICE_PORT') or 8000}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = list(islice(cycle(read(options.tickets)), WARM_UP + options.count))
    figures = asyncio.run(measured(options.url, rows))
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def read(file: Path) -> list[dict[str, str]]:
    raw = file.read_bytes()
    lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).splitlines()  # bytes: a text has U+2028
    rows = [json.loads(line) for line in lines]
    return [
        {
            "subject": (row.get("subject") or row.get("title") or "-")[:300],
            "body": (row.get("body") or row.get("text") or "-")[:BODY],
        }
        for row in rows
    ]


async def measured(url: str, rows: list[dict[str, str]]) -> dict[str, float | str | list[str]]:
    took: list[float] = []
    versions: set[str] = set()
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        for row in rows:
            started = time.perf_counter()
            answer = await client.post("/api/v1/routing/preview", json=row)
            took.append(1000 * (time.perf_counter() - started))
            versions.add(answer.raise_for_status().json()["triage"]["version"])
    counted = took[WARM_UP:]
    return {
        "tickets": len(counted),
        "characters": round(float(np.mean([len(row["body"]) for row in rows]))),
        "p50_ms": round(float(np.percentile(counted, 50)), 1),
        "p95_ms": round(float(np.percentile(counted, 95)), 1),
        "p99_ms": round(float(np.percentile(counted, 99)), 1),
        "versions": sorted(versions),
    }


def token() -> str:
    command = [sys.executable, "-m", "deployments.local.token", "agent"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
