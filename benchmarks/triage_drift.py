"""When a desk's taxonomy changes: on which day it is noticed, and what examples of the new labels are worth.

    python -m benchmarks.triage_drift --old OLD.jsonl.gz --new NEW.jsonl.gz

Both files are triage files whose rows also have `created`. A version that learnt the first days of `--old`
reads the rest day by day, people's labels are the file's; then what learnt all of `--old` is given 0, 5, 20
and 100 examples of every new label from the first 1,600 rows of `--new`, and reads the next 1,000. Minutes,
most of them embedding: `--only days` or `--only curve` takes half of it.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
from rich.console import Console

from app.triage.schemas import Day, Seen
from app.triage.watch import HISTORY, REFERENCE, judge
from config import environment
from config.profile import load
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from models.triage.text import Ticket
from pipelines.training.examples import Example
from pipelines.training.learning import Learner

EXAMPLES = (0, 5, 20, 100)
LEARN_FROM, LATER = 1600, 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--new", type=Path, required=True)
    parser.add_argument("--since", default="2024-09-05", help="first day of --old that is used")
    parser.add_argument("--watch", default="2024-09-15", help="first day that triage reads")
    parser.add_argument("--only", choices=("days", "curve"))
    args = parser.parse_args()
    learner = Learner(environment.read(), load("local").embedder, Console(stderr=True))
    days, old = _read(args.old, args.since)
    vectors = learner.embed(old)
    first = next(i for i, day in enumerate(days) if day >= date.fromisoformat(args.watch))
    if args.only != "curve":
        model, _ = learner.learn(old[:first], vectors[:first])
        show_days(replay(model, days[first:], old[first:], vectors[first:]))
    if args.only != "days":
        _, new = _read(args.new, "")
        show_curve(learner, old, vectors, new[: LEARN_FROM + LATER])


def replay(
    model: TriageModel, days: Sequence[date], examples: Sequence[Example], vectors: Vectors
) -> list[Day]:
    """Every statistic of every day, as the job finds them."""
    version = uuid4()
    said = model.predict([each.ticket.text for each in examples], vectors)
    seen = [
        Seen(
            day=day,
            version_id=version,
            best=prediction.candidates[0].name,
            probability=prediction.candidates[0].probability,
            projection=list(prediction.projection),
            corrected=example.label,
        )
        for day, example, prediction in zip(days, examples, said, strict=True)
    ]
    found: list[Day] = []
    for day in sorted(set(days)):
        near = [each for each in seen if day - REFERENCE <= each.day <= day]
        found += judge(day, near, [each for each in found if not each.alarm and each.day >= day - HISTORY])
    return found


def show_days(found: Sequence[Day]) -> None:
    judged = [each for each in found if each.p is not None]
    print(f"{len({each.day for each in judged})} days judged, from {judged[0].day} to {judged[-1].day}")
    for each in judged:
        if each.alarm:
            print(f"alarm on {each.day}: {each.statistic}, {each.size} tickets, p {each.p:.1g}")


def show_curve(learner: Learner, old: list[Example], vectors: Vectors, new: list[Example]) -> None:
    known = {each.label for each in old}
    new_vectors = learner.embed(new)
    later, later_vectors = new[LEARN_FROM:], new_vectors[LEARN_FROM:]
    fresh = sorted({each.label for each in new} - known)
    order = np.random.default_rng(0).permutation(LEARN_FROM)
    print(f"{len(fresh)} new labels; examples of each: accuracy and top-3 of all, then of the new labels'")
    for count in EXAMPLES:
        at = [i for label in fresh for i in [j for j in order if new[j].label == label][:count]]
        model, _ = learner.learn([*old, *(new[i] for i in at)], np.concatenate([vectors, new_vectors[at]]))
        said = model.predict([each.ticket.text for each in later], later_vectors)
        names = [[each.name for each in prediction.candidates[:3]] for prediction in said]
        hits = np.array([[e.label == n[0], e.label in n] for e, n in zip(later, names, strict=True)])
        of_new = np.array([each.label in fresh for each in later])
        print(f"{count:4d} {hits.mean(axis=0).round(3)} {hits[of_new].mean(axis=0).round(3)}")


def _read(file: Path, since: str) -> tuple[list[date], list[Example]]:
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    rows = [row for row in rows if row["created"] >= since]
    days = [date.fromisoformat(row["created"][:10]) for row in rows]
    return days, [Example(Ticket(row["title"], row["text"]), row["label"]) for row in rows]


if __name__ == "__main__":
    main()
