"""Learns triage from past tickets and registers the result as a version, active only with --promote."""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from rich.console import Console
from rich.table import Table

from app import db
from app.routing import service as routing
from config import environment
from config.embedded.child import StoreFailed
from config.embedded.stores import Stores
from config.environment import Environment
from config.profile import EmbedderSettings, ProfileError, load
from models.embedding.onnx import ModelNotFound
from models.triage.artefact import TriageModel, queue_shares
from models.triage.fitting import Examples, NotEnoughExamples, fit
from pipelines.training import examples as files
from pipelines.training.embedding import embed
from pipelines.training.examples import BadExamples, Example

TROUBLES = (
    BadExamples,
    NotEnoughExamples,
    ModelNotFound,
    ProfileError,
    StoreFailed,
    db.MigrationError,
    OSError,
    asyncpg.PostgresError,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=Path, required=True, help="JSON lines, gzipped or not")
    parser.add_argument("--json", type=Path, help="write the summary there")
    parser.add_argument("--promote", action="store_true", help="make it the version that decides")
    parser.add_argument("--profile", default="local")


def run(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    try:
        summary = _run(args, console)
    except TROUBLES as error:
        console.print(f"train triage: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    if args.json:
        args.json.write_text(json.dumps(summary, indent=2) + "\n")
    _show(summary)
    return 0


def train(
    examples: list[Example], settings: EmbedderSettings, here: Environment, console: Console
) -> tuple[TriageModel, dict[str, float]]:
    """A model of these examples, and its figures on those held out."""
    texts, labels = [each.text for each in examples], [each.label for each in examples]
    vectors = embed(texts, settings, here, console=console)
    fitted = fit(Examples(texts, vectors, np.array(labels)))
    queues, queue_of = queue_shares(labels, [each.queue for each in examples], fitted.classifier.labels)
    version = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{files.fingerprint(examples)[:8]}"
    return TriageModel(version, settings.model, fitted.classifier, queues, queue_of), fitted.figures


def _run(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    here, settings = environment.read(), load(args.profile).embedder
    examples = files.read(args.train)
    started = time.monotonic()
    model, figures = train(examples, settings, here, console)
    artefact = f"triage/{model.version}"
    model.save(here.artefacts / artefact)
    summary = {
        "version": model.version,
        "artefact": artefact,
        "examples": len(examples),
        "labels": len(model.classifier.labels),
        "queues": len(model.queues),
        **figures,
        "seconds": round(time.monotonic() - started, 1),
        "promoted": args.promote,
    }
    with _database(here) as dsn:
        asyncio.run(_register(dsn, artefact, files.fingerprint(examples), summary, promote=args.promote))
    return summary


async def _register(
    dsn: str, artefact: str, data_fingerprint: str, summary: dict[str, Any], *, promote: bool
) -> None:
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=10)
    try:
        async with db.transaction(pool) as conn:
            version = await routing.register_triage_version(conn, artefact, data_fingerprint, summary)
            if promote:
                await routing.activate_triage_version(conn, version.id)
    finally:
        await pool.close()


@contextmanager
def _database(here: Environment) -> Iterator[str]:
    """The environment's, or the home's embedded one, which is started if it is down."""
    if here.database_url:
        yield here.require_database_url()
        return
    with Stores(here.home, wanted=frozenset({"postgres"})) as addresses:
        yield addresses.database_url or ""


def _show(summary: dict[str, Any]) -> None:
    table = Table("triage version", summary["version"])
    for name, value in summary.items():
        if name != "version":
            table.add_row(name, str(value))
    Console().print(table)
