"""`python -m benchmarks.indexing {kb,stub,kill} ...`: what the indexing pipeline costs beside its model.

- `kb --source FILE`: chunks/s of the pipeline on Ray Data in steady state, and of a bare loop over the same
  ONNX session, threads and texts, in turn; their ratio, start-up apart. Stores are thrown away.
- `stub --articles N`: the pipeline itself, with an embedder and a sink that do nothing: articles/s, and the
  memory of its processes over time.
- `kill --source FILE`: `kill -9` at half of the chunks, a second run, and an index made without the kill.

`--limit N` takes the first N articles, for a run of minutes.
"""

import argparse
import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import psutil

from config import environment, profile
from config.embedded.stores import Addresses, Stores
from models.embedding.onnx import OnnxEmbedder
from models.embedding.protocol import Vectors
from models.loading.sources import Part, Source
from pipelines.indexing import cluster
from pipelines.indexing.compute import on_ray
from pipelines.indexing.run import Settings
from pipelines.indexing.stages import Cut, EmbedderOptions, column

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kb", "stub", "kill"])
    parser.add_argument("--source", type=Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--articles", type=int, default=25_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="es-bench-", dir="/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)  # PostgreSQL does not run as root: its user has to reach the home
        match options.what:
            case "kb":
                figures = against_bare_loop(sample(options.source, options.limit, place))
            case "stub":
                figures = stubbed(articles(options.articles, place))
            case _:
                figures = killed(sample(options.source, options.limit, place), place)
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def sample(source: Path, limit: int, folder: Path) -> Path:
    """The first articles of a JSON lines file, in a file of the same name."""
    opened = gzip.open if source.suffix == ".gz" else open
    target = folder / source.name.removesuffix(".gz")
    with opened(source, "rt") as lines, target.open("w") as file:
        file.writelines(line for line, _ in zip(lines, range(limit), strict=False))
    return target


def settings() -> Settings:
    return Settings.of(profile.load("local"), environment.read())


def against_bare_loop(file: Path) -> dict[str, Any]:
    """The same texts, twice: in a loop in this process, then through the pipeline with one embedder."""
    chosen = settings()
    texts = texts_of(file, chosen)
    model = chosen.embedder.open()
    model.encode(texts[:20])
    bare = bare_rate(model, texts)
    with cluster.connected(file.parent) as _:
        started = time.monotonic()
        first, last, embedded = float("inf"), 0.0, 0
        compute = on_ray(chosen.embedder, chosen.chunking, 1)
        parts = Source.parse(str(file)).parts()
        for results in compute(parts, {}):
            for work in results:
                if getattr(work, "vectors", None) is not None:
                    first, last = min(first, work.embedded_between[0]), max(last, work.embedded_between[1])
                    embedded += len(work.fresh)
        seconds = time.monotonic() - started
    again = bare_rate(model, texts)
    rate = embedded / (last - first)
    loop = (bare + again) / 2
    return {
        "chunks": embedded,
        "pipeline_chunks_per_s": round(rate, 1),
        "bare_chunks_per_s": [round(bare, 1), round(again, 1)],
        "ratio": round(rate / loop, 3),
        "startup_seconds": round(seconds - (last - first), 1),
    }


def texts_of(file: Path, chosen: Settings) -> list[str]:
    cut = Cut(chosen.embedder, {}, chosen.chunking)
    items: list[Part] = Source.parse(str(file)).parts()
    return [
        text
        for batch in cut(column(list(items)))
        for work in batch["item"]
        for text in getattr(work, "texts", [])
    ]


def bare_rate(model: OnnxEmbedder, texts: Sequence[str]) -> float:
    started = time.monotonic()
    for start in range(0, len(texts), 32):
        model.encode(texts[start : start + 32])
    return len(texts) / (time.monotonic() - started)


class Nothing:
    """An embedder without a network."""

    name = "nothing"

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 384), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class StubOptions(EmbedderOptions):
    def open(self) -> Any:
        return Nothing()


def articles(number: int, folder: Path) -> Path:
    """Made-up articles of about 250 words."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(5_000)])
    file = folder / "articles.jsonl"
    with file.open("w") as lines:
        for n in range(number):
            picked = " ".join(rng.choice(words, 250))
            lines.write(json.dumps({"slug": f"a{n}", "title": f"Article {n}", "text": picked}) + "\n")
    return file


def stubbed(file: Path) -> dict[str, Any]:
    chosen = settings()
    options = StubOptions(
        chosen.embedder.folder, chosen.embedder.precision, chosen.embedder.threads, chosen.embedder.max_tokens
    )
    chosen = replace(chosen, embedder=options)
    alone = time.monotonic()
    cut_rate = rate_of_cutting(file, chosen)
    alone = time.monotonic() - alone
    with cluster.connected(file.parent) as _, memory() as samples:
        started, done, first = time.monotonic(), 0, 0.0
        for results in on_ray(options, chosen.chunking, 1)(Source.parse(str(file)).parts(), {}):
            first = first or time.monotonic()
            done += len(results)
        seconds = time.monotonic() - first
    middle, end = samples[len(samples) // 3 : len(samples) // 2], samples[-max(1, len(samples) // 6) :]
    return {
        "articles": done,
        "articles_per_s": round(done / seconds, 1),
        "cutting_alone_articles_per_s": round(cut_rate, 1),
        "startup_seconds": round(first - started, 1),
        "memory_mib": {"peak": max(samples), "middle": int(np.mean(middle)), "end": int(np.mean(end))},
    }


def rate_of_cutting(file: Path, chosen: Settings) -> float:
    """Reading and cutting in a plain loop, of the first thousand articles."""
    head = file.with_name("head.jsonl")
    with file.open() as lines, head.open("w") as target:
        target.writelines(line for line, _ in zip(lines, range(1_000), strict=False))
    cut = Cut(chosen.embedder, {}, chosen.chunking)
    started = time.monotonic()
    number = sum(len(batch["item"]) for batch in cut(column(list(Source.parse(str(head)).parts()))))
    return number / (time.monotonic() - started)


@contextmanager
def memory() -> Iterator[list[int]]:
    """MiB of this process and Ray's workers, proportional set size, each second."""
    samples: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1.0):
            used = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    if process.pid == os.getpid() or "ray::" in process.name():
                        used += process.memory_full_info().pss
                except psutil.Error:
                    continue
            samples.append(used >> 20)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
        samples[:] = samples or [0]


def killed(file: Path, folder: Path) -> dict[str, Any]:
    """Two homes: in one the indexer is killed half way and run again, in the other it is left alone."""
    whole = Home(folder / "whole")
    disturbed = Home(folder / "disturbed")
    try:
        total = whole.index(file)["chunks"]
        before = asyncio.run(disturbed.kill_at(file, total // 2))
        after = disturbed.index(file)
        return {
            "chunks": total,
            "written_before_the_kill": before,
            "embedded_by_the_second_run": after["embedded"],
            "embedded_twice": before + after["embedded"] - total,
            "same_index": asyncio.run(whole.contents()) == asyncio.run(disturbed.contents()),
        }
    finally:
        whole.stores.destroy()
        disturbed.stores.destroy()


class Home:
    """An indexer's home with stores of its own."""

    def __init__(self, path: Path) -> None:
        self.stores = Stores(path, wanted=frozenset({"postgres", "milvus"}))
        self.addresses: Addresses = self.stores.start()
        self.environ = {**os.environ, **self.addresses.environ(), "ESERVICE_HOME": str(path)}
        self.environ["ESERVICE_MODELS"] = str(environment.read().models)

    def command(self, file: Path, figures: Path) -> list[str]:
        return [sys.executable, "-m", "pipelines.index", "--source", str(file), "--json", str(figures)]

    def index(self, file: Path) -> dict[str, Any]:
        figures = file.with_suffix(".json")
        subprocess.run(
            self.command(file, figures), cwd=ROOT, env=self.environ, check=True, capture_output=True
        )
        found: dict[str, Any] = json.loads(figures.read_text())
        return found

    async def kill_at(self, file: Path, chunks: int) -> int:
        """`kill -9` of the indexer and all it started once that many chunks are written; how many were."""
        running = subprocess.Popen(
            self.command(file, file.with_suffix(".json")), cwd=ROOT, env=self.environ, start_new_session=True
        )
        while await self.written() < chunks and running.poll() is None:
            await asyncio.sleep(0.05)
        for process in [*psutil.Process(running.pid).children(recursive=True), running]:
            try:
                process.send_signal(signal.SIGKILL)
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
        running.wait()
        return await self.written()

    async def written(self) -> int:
        return len(await self.contents())

    async def contents(self) -> set[str]:
        conn = await asyncpg.connect(self.addresses.database_url)
        try:
            return {row["id"] for row in await conn.fetch("SELECT id FROM chunks")}
        except asyncpg.UndefinedTableError:
            return set()
        finally:
            await conn.close()


if __name__ == "__main__":
    main()
