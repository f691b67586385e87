"""`python -m pipelines.index --source PATH [--source PATH ...] [--full] [--json FILE]`.

Indexes files and folders into the stores of the running service, or into ESERVICE_HOME's embedded ones, which
it starts if they are down. A source is known by its file's or folder's own name, so that it may move; two of
one name are told apart with `--source NAME=PATH`. A second run embeds only what changed.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from app.db import MigrationError
from app.errors import ServiceError
from config import environment
from config.embedded.child import StoreFailed
from config.embedded.stores import Stores, unnamed
from config.profile import ProfileError, load
from models.embedding.onnx import ModelNotFound
from models.loading import sources
from models.loading.documents import SourceError
from models.retrieval.store import StoreUnavailable
from monitoring import metrics
from pipelines import console, observation
from pipelines.indexing.run import TooManyChunks
from pipelines.indexing.service import index_sources
from pipelines.indexing.summary import Summary

EXPECTED = (
    SourceError,
    ProfileError,
    environment.InvalidSetting,
    environment.MissingSetting,
    ModelNotFound,
    StoreFailed,
    StoreUnavailable,
    TooManyChunks,
    MigrationError,
    ServiceError,
    OSError,  # disk and permissions; the message names the file
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.index", description=__doc__)
    parser.add_argument("--source", action="append", required=True, metavar="PATH", help="file or folder")
    parser.add_argument("--full", action="store_true", help="delete what vanished from these sources")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # as Ctrl-C: nothing stays behind
    try:
        with observation.batch("index"):
            summary = run(options.source, full=options.full)
            for what in ("chunks", "embedded", "deleted"):
                metrics.INDEXED_CHUNKS.set(getattr(summary, what), what=what)
        if options.json:
            options.json.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    except EXPECTED as error:
        return console.failed(error)
    except KeyboardInterrupt:
        return console.failed("interrupted; what was written stays, and the next run goes on from there")
    show(summary)
    return 0


def run(arguments: list[str], *, full: bool) -> Summary:
    wanted = sources.parse_all(arguments)
    for source in wanted:
        source.parts()  # a bad source is known before anything is started
    env = environment.read()
    profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
    stores = Stores(env.home, wanted=unnamed(env) - {"valkey"})
    with stores as addresses, console.progress("indexing") as report:
        os.environ.update(addresses.environ())
        return index_sources(
            wanted,
            profile,
            environment.read(),
            full=full,
            progress=lambda s: report(
                f"{s.documents:,} documents, {s.embedded:,} of {s.chunks:,} chunks embedded"
            ),
        )


def show(summary: Summary) -> None:
    figures = {
        name.replace("_", " "): value for name, value in summary.as_json().items() if name != "skipped"
    }
    console.table("Indexed", {**figures, "skipped": len(summary.skipped)})
    for problem in summary.skipped[:20]:
        console.warn(str(problem))
    if len(summary.skipped) > 20:
        console.warn(f"and {len(summary.skipped) - 20} more; --json names them all")


if __name__ == "__main__":
    sys.exit(main())
