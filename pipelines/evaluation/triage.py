"""Trains triage on one file and scores it on another, with the code and settings that production has."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import StratifiedKFold

from config import environment
from config.profile import ProfileError, load
from models.embedding.onnx import ModelNotFound
from models.triage.figures import figures
from models.triage.fitting import NotEnoughExamples
from pipelines.training import examples as files
from pipelines.training.examples import BadExamples
from pipelines.training.learning import Learner, Summary

TROUBLES = (BadExamples, NotEnoughExamples, ModelNotFound, ProfileError, OSError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=Path, required=True, help="JSON lines to learn from, gzipped or not")
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument("--test", type=Path, help="JSON lines to score on")
    scored.add_argument("--folds", type=int, help="no test file: learn from all folds but one, score on that")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", default="local")


def run(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    try:
        if args.folds:
            found = cross_validate(args.train, args.folds, args.profile, console)
        else:
            found = evaluate(args.train, args.test, args.profile, console)
    except TROUBLES as error:
        console.print(f"evaluate triage: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    _show(found)
    return 0


def evaluate(train_file: Path, test_file: Path, profile: str, console: Console) -> Summary:
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


def cross_validate(file: Path, count: int, profile: str, console: Console) -> Summary:
    """The means of the figures over random folds with every label spread evenly; texts are embedded once."""
    learner = Learner(environment.read(), load(profile).embedder, console)
    examples = files.read(file)
    labels = np.array([each.label for each in examples])
    if not 2 <= count <= len(examples):
        raise BadExamples(f"{count} folds of {len(examples)} examples: at least 2, and an example in each")
    vectors, started = learner.embed(examples), time.monotonic()
    found: list[dict[str, float]] = []
    for train, test in StratifiedKFold(count, shuffle=True, random_state=0).split(vectors, labels):
        model, _ = learner.learn([examples[i] for i in train], vectors[train])
        said = model.predict([examples[i].ticket.text for i in test], vectors[test])
        found.append(figures([examples[i].label for i in test], said))
        console.print(f"fold {len(found)}: accuracy {found[-1]['accuracy']:.4f}")
    return {
        **{name: round(float(np.mean([each[name] for each in found])), 4) for name in found[0]},
        "accuracy_by_fold": [round(each["accuracy"], 4) for each in found],
        "rows": len(examples),
        "seconds": round(time.monotonic() - started, 1),
    }


def _show(found: Summary) -> None:
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:g}" if isinstance(value, float) else str(value))
    Console().print(table)
