"""What the gateway adds to an LLM's own time, beside what LiteLLM's proxy adds, on the same work in one run.

    python -m benchmarks.llm_overhead [--seconds 5] [--rounds 2] [--json FILE]

An LLM that answers at once stands behind both. Ours is the whole path: HAProxy, a Serve replica, the access
token, rate limits in Valkey, masking, usage records in PostgreSQL. LiteLLM's proxy is installed into an
environment of its own (`--litellm`), with one worker: once with the same work to do (a key with limits,
counted in the same Valkey, and a record of each use: `litellm_hooks.py`), once bare, with its master key
checked and neither limits nor records. Rounds alternate, since the machine is never quiet.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.overhead_peers import Peer, eservice, instant, litellm

BODY = {
    "messages": [
        {"role": "system", "content": "You are a support assistant. Answer in two short sentences."},
        {"role": "user", "content": "Mail jane@example.com when the copies in the folder are merged. " * 6},
    ],
    "max_tokens": 50,
}
WARM = 30


@dataclass
class Figures:
    """Of one peer and one way of asking; times in ms."""

    alone_ms: list[float] = field(default_factory=list)
    sixteen_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    failed: int = 0

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.sixteen_ms)
        return {
            "p50_ms_1": round(statistics.median(self.alone_ms), 2),
            "rps_16": round(statistics.median(self.rates), 1),
            "p50_ms_16": round(statistics.median(ordered), 2),
            "p99_ms_16": round(ordered[int(0.99 * (len(ordered) - 1))], 2),
            "failed": self.failed,
        }


async def measure(peer: Peer, stream: bool, figures: Figures, seconds: float) -> None:
    """One connection for half of `seconds`, then sixteen."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {peer.key}"}, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        body = {**BODY, "model": peer.model, "stream": stream}

        async def ask(times: list[float]) -> None:
            started = time.perf_counter()
            async with session.post(f"{peer.url}/v1/chat/completions", json=body) as response:
                said = await response.read()
            if response.status != 200 or (stream and b"[DONE]" not in said):
                figures.failed += 1
            times.append(1000 * (time.perf_counter() - started))

        async def ask_until(end: float, times: list[float]) -> None:
            while time.perf_counter() < end:
                await ask(times)

        for _ in range(WARM):
            await ask([])
        await ask_until(time.perf_counter() + seconds / 2, figures.alone_ms)
        times: list[float] = []
        started = time.perf_counter()
        await asyncio.gather(*(ask_until(started + seconds, times) for _ in range(16)))
        figures.rates.append(len(times) / (time.perf_counter() - started))
        figures.sixteen_ms += times


def compare(found: dict[str, dict[str, dict[str, float]]], peer: str) -> dict[str, dict[str, float]]:
    """Ours against a peer's: requests a second, and the median that each adds to the LLM's own."""
    said = {}
    for way, peers in found.items():
        own = peers["instant LLM"]["p50_ms_1"]
        added = {name: max(0.01, peers[name]["p50_ms_1"] - own) for name in ("eService", peer)}
        said[way] = {
            "added_p50_ms_eservice": round(added["eService"], 2),
            "added_p50_ms_peer": round(added[peer], 2),
            "added_ratio": round(added["eService"] / added[peer], 3),
            "rps_ratio": round(peers["eService"]["rps_16"] / peers[peer]["rps_16"], 2),
        }
    return said


@contextmanager
def profiled(pid: int | None, file: Path | None) -> Iterator[None]:
    """`py-spy record` of a process, where a file is asked for."""
    if pid is None or file is None:
        yield
        return
    spy = Path(sys.executable).with_name("py-spy")
    command = [str(spy), "record", "-p", str(pid), "-f", "raw", "-o", str(file), "-r", "200", "-d", "3600"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield
    process.send_signal(2)
    process.wait(30)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    ways = {"whole": False, "streamed": True}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-bench-")))
        folder.chmod(0o755)
        llm = stack.enter_context(instant(folder))
        peers = [llm, stack.enter_context(eservice(folder, llm))]
        if not arguments.alone:
            works = (peers[1].redis, None)
            peers += [stack.enter_context(litellm(folder, llm, arguments.litellm, redis)) for redis in works]
        stack.enter_context(profiled(peers[1].pid, arguments.profile))
        figures = {way: {peer.name: Figures() for peer in peers} for way in ways}
        for _ in range(arguments.rounds):
            for way, stream in ways.items():
                for peer in peers:
                    asyncio.run(measure(peer, stream, figures[way][peer.name], arguments.seconds))
        recorded = {peer.name: peer.recorded() for peer in peers[1:3]}
    found = {way: {name: each.summary() for name, each in named.items()} for way, named in figures.items()}
    ratios = {peer.name: compare(found, peer.name) for peer in peers[2:]}
    return {
        "figures": found,
        "ratios": ratios,
        "usage_records": recorded,
        "versions": {p.name: p.version for p in peers},
    }


def table(result: dict[str, object]) -> str:
    lines = [
        f"{'':10}{'':14}{'p50 at 1':>10}{'req/s at 16':>13}{'p50 at 16':>11}{'p99 at 16':>11}{'failed':>8}"
    ]
    for way, peers in result["figures"].items():  # type: ignore[attr-defined]
        for name, f in peers.items():
            lines.append(
                f"{way:10}{name:14}{f['p50_ms_1']:>7.2f} ms{f['rps_16']:>13.0f}{f['p50_ms_16']:>8.1f} ms"
                f"{f['p99_ms_16']:>8.1f} ms{f['failed']:>8}"
            )
    for peer, ways in result["ratios"].items():  # type: ignore[attr-defined]
        for way, r in ways.items():
            lines.append(
                f"{way}: {r['rps_ratio']} times the requests/s of {peer}; adds "
                f"{r['added_p50_ms_eservice']} ms where that adds {r['added_p50_ms_peer']} ms "
                f"({r['added_ratio']})"
            )
    return "\n".join([*lines, f"records of use: {result['usage_records']}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4, help="of load, for each peer, way and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--litellm", type=Path, default=Path(".eservice/litellm"), help="its environment")
    parser.add_argument("--alone", action="store_true", help="leave LiteLLM out")
    parser.add_argument("--profile", type=Path, help="py-spy's samples of the gateway's replica go here")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = run(arguments)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1, default=str))


if __name__ == "__main__":
    main()
