"""Learns triage from past tickets, or again with what people corrected, and registers a version.

With --train a candidate is learnt from a file; --promote makes it the version that decides. With --retrain
the active version's examples and every correction since make a version that reads along in the active one's
shadow; it is promoted once it has won, and with --promote at once if it won on the newest corrections.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from app import db
from app.triage import service as versions
from app.triage.schemas import Trained
from config import environment
from config.embedded.child import StoreFailed
from config.profile import ProfileError, load
from models.artefacts import Artefacts
from models.embedding.onnx import ModelNotFound
from models.triage.artefact import ArtefactError
from models.triage.fitting import NotEnoughExamples
from pipelines.training import examples as files
from pipelines.training import registry
from pipelines.training.examples import BadExamples, Example
from pipelines.training.learning import Learner, Summary, label_counts
from pipelines.training.retraining import NothingNew, retrain

TROUBLES = (
    BadExamples,
    NotEnoughExamples,
    NothingNew,
    versions.ExampleGone,
    registry.TrainingRuns,
    ArtefactError,
    ModelNotFound,
    ProfileError,
    StoreFailed,
    db.MigrationError,
    OSError,
    asyncpg.PostgresError,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--train", type=Path, metavar="FILE", help="JSON lines, gzipped or not")
    source.add_argument("--retrain", action="store_true", help="what the desk has, with its corrections")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")
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


def _run(args: argparse.Namespace, console: Console) -> Summary:
    here = environment.read()
    learner = Learner(here, load(args.profile).embedder, console, on_ray=True)
    artefacts = Artefacts(here.artefacts)
    examples = files.read(args.train) if args.train else []
    with registry.database(here) as dsn:
        if examples:
            return asyncio.run(_train(dsn, artefacts, learner, examples, promote=args.promote))
        return asyncio.run(retrain(dsn, artefacts, learner, promote=args.promote))


async def _train(
    dsn: str, artefacts: Artefacts, learner: Learner, examples: list[Example], *, promote: bool
) -> Summary:
    started = time.monotonic()
    async with registry.opened(dsn) as pool:
        vectors = learner.embed(examples)
        model, figures = learner.learn(examples, vectors)
        trained = Trained(
            artefact=registry.keep_model(artefacts, model),
            data=registry.keep_data(artefacts, examples, vectors),
            data_fingerprint=files.fingerprint(examples),
            figures={"examples": len(examples), "corrections": 0, **figures},
            label_counts=label_counts(examples),
        )
        async with db.transaction(pool) as conn:
            version = await versions.register(conn, trained)
            if promote:
                version = await versions.promote(conn, None, version.id, without_proof="train --promote")
    return registry.summary(version, model, time.monotonic() - started)


def _show(summary: Summary) -> None:
    table = Table("triage version", str(summary["version"]))
    for name, value in summary.items():
        if name != "version":
            table.add_row(name, str(value))
    Console().print(table)
