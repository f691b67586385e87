"""`python -m benchmarks.search --queries FILE [--json FILE]`: how long a search takes over HTTP, alone.

Against the running service, whose index should hold the knowledge base that the queries are about
(`python -m pipelines.index --source .../support-kb/articles.jsonl`). FILE is a BEIR `queries.jsonl`. One
connection; the first queries are not counted. What the service says of its own stages stands beside it: the
rest is HTTP, HAProxy and Serve. Ends within three minutes.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

WARM_UP = 30
SHORT_WORDS = 20
"""A short question; the others are whole tickets."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rerank", action="store_true")
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('ESERVICE_PORT') or 8000}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = options.queries.read_bytes().splitlines()[-options.count - WARM_UP :]
    queries = [json.loads(line)["text"][:8000] for line in lines]
    figures = asyncio.run(measured(options.url, queries, options.rerank))
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


async def measured(url: str, queries: list[str], rerank: bool) -> dict[str, Any]:
    rows: list[tuple[bool, float, dict[str, float]]] = []
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        for number, query in enumerate(queries):
            started = time.perf_counter()
            answer = await client.post(
                "/api/v1/knowledge/search", json={"query": query, "top_k": 5, "rerank": rerank}
            )
            took = 1000 * (time.perf_counter() - started)
            found = answer.raise_for_status().json()
            assert not found["degraded"], found["degraded"]
            if number >= WARM_UP:
                rows.append((len(query.split()) <= SHORT_WORDS, took, found["latency_ms"]))
    return {
        "rerank": rerank,
        "all": shares(rows),
        "short": shares([row for row in rows if row[0]]),
        "long": shares([row for row in rows if not row[0]]),
    }


def shares(rows: list[tuple[bool, float, dict[str, float]]]) -> dict[str, Any]:
    if not rows:
        return {"queries": 0}
    took = [row[1] for row in rows]
    stages = sorted({name for row in rows for name in row[2]})
    return {
        "queries": len(rows),
        "p50_ms": round(float(np.percentile(took, 50)), 1),
        "p95_ms": round(float(np.percentile(took, 95)), 1),
        "stages_p50_ms": {
            name: round(float(np.median([row[2].get(name, 0.0) for row in rows])), 1) for name in stages
        },
    }


def token() -> str:
    command = [sys.executable, "-m", "deployments.local.token", "customer"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
