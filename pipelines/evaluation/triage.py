"""Trains triage on one file and scores it on another, with the code and settings that production has."""

import argparse
import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from config import environment
from config.profile import ProfileError, load
from models.embedding.onnx import ModelNotFound
from models.triage.figures import figures
from models.triage.fitting import NotEnoughExamples
from pipelines.training import examples as files
from pipelines.training.examples import BadExamples
from pipelines.training.learning import Learner

TROUBLES = (BadExamples, NotEnoughExamples, ModelNotFound, ProfileError, OSError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=Path, required=True, help="JSON lines to learn from, gzipped or not")
    parser.add_argument("--test", type=Path, required=True, help="JSON lines to score on")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", default="local")


def run(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    try:
        found = evaluate(args.train, args.test, args.profile, console)
    except TROUBLES as error:
        console.print(f"evaluate triage: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    _show(found)
    return 0


def evaluate(train_file: Path, test_file: Path, profile: str, console: Console) -> dict[str, float]:
    """The figures DESIGN names. The test file's labels are read only to score."""
    learner = Learner(environment.read(), load(profile).embedder, console)
    past, later = files.read(train_file), files.read(test_file)
    started = time.monotonic()
    model, _ = learner.learn(past, learner.embed(past))
    trained = time.monotonic()
    predictions = model.predict([each.ticket.text for each in later], learner.embed(later))
    return {
        **{
            name: round(value, 4)
            for name, value in figures([each.label for each in later], predictions).items()
        },
        "train_rows": len(past),
        "test_rows": len(later),
        "train_seconds": round(trained - started, 1),
        "test_seconds": round(time.monotonic() - trained, 1),
    }


def _show(found: dict[str, float]) -> None:
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)
