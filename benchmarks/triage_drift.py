"""When a desk's taxonomy changes: on which day it is noticed, and what examples of the new labels are worth.

    python -m benchmarks.triage_drift --old OLD.jsonl.gz --new NEW.jsonl.gz

Both files are triage files whose rows also have `created`. A version that learnt the first days of `--old`
reads the rest day by day, people's labels are the file's; then what learnt `--old` up to the change gets 0,
5, 20 and 100 examples of every new label from the first 1,600 rows of `--new`, and reads the next 1,000.
Some fifteen minutes on two cores: `--only`, `--examples`, `--vectors` and `--json` make it several runs.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from rich.console import Console

from app.triage.schemas import Day, Seen
from app.triage.watch import HISTORY, REFERENCE, judge
from config import environment
from config.profile import load
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from models.triage.drift import RARE
from models.triage.text import Ticket
from pipelines.training.examples import Example, fingerprint
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
    parser.add_argument("--change", default="2024-12-09", help="day on which --old changed to new labels")
    parser.add_argument("--only", choices=("days", "curve"))
    parser.add_argument("--examples", type=int, nargs="+", default=EXAMPLES, help="of each new label")
    parser.add_argument("--vectors", type=Path, help="keep the texts' vectors in this folder")
    parser.add_argument("--json", type=Path, help="keep what was found there, with what it has already")
    parser.add_argument("--plot", type=Path, help="draw what --json has")
    args = parser.parse_args()
    learner = Learner(environment.read(), load("local").embedder, Console(stderr=True))
    days, old = _read(args.old, args.since)
    vectors = _embedded(learner, old, args.vectors)
    found = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    if args.only != "curve":
        first = next(i for i, day in enumerate(days) if day >= date.fromisoformat(args.watch))
        model, _ = learner.learn(old[:first], vectors[:first])
        judged = replay(model, days[first:], old[first:], vectors[first:])
        show_days(judged)
        found["days"] = [each.model_dump(mode="json") for each in judged if each.p is not None]
    if args.only != "days":
        new = _read(args.new, "")[1][: LEARN_FROM + LATER]
        new_vectors = _embedded(learner, new, args.vectors)
        before = sum(day < date.fromisoformat(args.change) for day in days)
        points = curve(learner, (old[:before], vectors[:before]), (new, new_vectors), args.examples)
        found["curve"] = sorted([*found.get("curve", []), *points], key=lambda each: each["examples"])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.plot:
        plot(found, args.plot)


def _embedded(learner: Learner, examples: Sequence[Example], folder: Path | None) -> Vectors:
    file = folder / f"{fingerprint(examples)[:16]}.npy" if folder else None
    if file is not None and file.exists():
        return np.asarray(np.load(file))
    vectors = learner.embed(examples)
    if file is not None:
        np.save(file, vectors)
    return vectors


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


def curve(
    learner: Learner,
    old: tuple[list[Example], Vectors],
    new: tuple[list[Example], Vectors],
    counts: Sequence[int],
) -> list[dict[str, float]]:
    """What learnt all of `old` and so many examples of every new label, on the rows of `new` that follow."""
    later, later_vectors = new[0][LEARN_FROM:], new[1][LEARN_FROM:]
    fresh = sorted({each.label for each in new[0]} - {each.label for each in old[0]})
    order = np.random.default_rng(0).permutation(LEARN_FROM)
    of_fresh = np.array([each.label in fresh for each in later])
    print(f"{len(fresh)} new labels, {of_fresh.mean():.2f} of {len(later)} later tickets")
    points = []
    for count in counts:
        at = sorted(i for label in fresh for i in [j for j in order if new[0][j].label == label][:count])
        taught = [*old[0], *(new[0][i] for i in at)]
        model, _ = learner.learn(taught, np.concatenate([old[1], new[1][at]]))
        said = model.predict([each.ticket.text for each in later], later_vectors)
        names = [[each.name for each in prediction.candidates[:3]] for prediction in said]
        hits = np.array([[e.label == n[0], e.label in n] for e, n in zip(later, names, strict=True)])
        alone, both = hits[of_fresh].mean(axis=0), hits.mean(axis=0)
        points.append(
            {
                "examples": count,
                "accuracy": round(float(both[0]), 4),
                "top3": round(float(both[1]), 4),
                "accuracy_new": round(float(alone[0]), 4),
                "top3_new": round(float(alone[1]), 4),
            }
        )
        print(points[-1])
    return points


def plot(found: dict[str, Any], file: Path) -> None:
    """The curve beside the days: chance of each day's most surprising value."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = [each["examples"] for each in found["curve"]]
    for name, label in (
        ("accuracy_new", "new labels"),
        ("top3_new", "new labels, top 3"),
        ("accuracy", "all"),
    ):
        left.plot([*map(str, counts)], [each[name] for each in found["curve"]], marker="o", label=label)
    left.set(xlabel="examples of each new label", ylabel="accuracy on later tickets", ylim=(0, 1))
    left.legend()
    days = sorted({each["day"] for each in found["days"]})
    least = [min(each["p"] for each in found["days"] if each["day"] == day) for day in days]
    right.semilogy([date.fromisoformat(day) for day in days], np.maximum(least, 1e-12), marker=".")
    right.axhline(1 / RARE, color="black", linestyle=":", label="alarm")
    right.set(ylabel="chance of the day's rarest value")
    right.tick_params(axis="x", rotation=30)
    right.legend()
    figure.savefig(file)


def _read(file: Path, since: str) -> tuple[list[date], list[Example]]:
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    rows = [row for row in rows if row["created"] >= since]
    days = [date.fromisoformat(row["created"][:10]) for row in rows]
    return days, [Example(Ticket(row["title"], row["text"]), row["label"]) for row in rows]


if __name__ == "__main__":
    main()
