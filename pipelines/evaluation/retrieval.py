"""`python -m pipelines.evaluate retrieval`: how well the production retriever finds what was judged relevant.

Indexes the data set's corpus into stores of its own, thrown away afterwards, as the indexer does, and asks
every query once, one after the other, through the retriever as the profile sets it up; only `per_article` is
1, since the judgements are of articles. With `--learn-from` another set's queries are solved cases first.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app.cases.library import KEEP_S
from app.knowledge.indexing import article_id
from config.embedded.stores import Addresses
from config.profile import Profile, load
from models.embedding.opening import Precision
from models.retrieval.learning import Learnt
from models.retrieval.passages import Filters, Retrieval
from models.retrieval.retriever import Candidates
from pipelines import console
from pipelines.evaluation.beir import Dataset, DatasetError, Query
from pipelines.evaluation.cases import asked, learn_affinity, learn_weights
from pipelines.evaluation.ranking import DEPTH, Figures, mean
from pipelines.evaluation.stages import plot, rankings, summary
from pipelines.evaluation.trial import CASES, SOURCE, Report, indexed, taught, throwaway

TAIL = 0.3
"""The share of the queries, the last by id, that is reported on its own: nothing may be tuned on it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="a BEIR folder")
    parser.add_argument(
        "--learn-from", type=Path, metavar="DIR", help="a BEIR folder whose queries are solved cases"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the stages there (PNG, SVG, PDF)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--precision", choices=get_args(Precision), help="instead of the profile's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a retrieval setting of the profile"
    )


def run(options: argparse.Namespace) -> int:
    profile = _profile(options.precision, options.set)
    dataset = Dataset.read(options.dataset)
    past = Dataset.read(options.learn_from) if options.learn_from else None
    with console.progress("retrieval") as report, throwaway() as addresses:
        result = asyncio.run(evaluate(dataset, profile, addresses, report, past))
    figures = result.as_json()
    console.table(
        f"Retrieval on {options.dataset.name}", {k: v for k, v in figures.items() if not isinstance(v, dict)}
    )
    for stage, values in figures["stages"].items():
        console.table(stage, values)
    if options.plot:
        plot(figures["stages"], options.dataset.name, options.plot)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


@dataclass(slots=True)
class Result:
    """Every query's figures, in the order of their ids, and how long each took."""

    chunks: int
    index_seconds: float
    figures: list[Figures] = field(default_factory=list)
    retrievals: list[Retrieval] = field(default_factory=list)
    stages: dict[str, list[Figures]] = field(default_factory=dict)
    cases: int = 0
    learnt: Learnt | None = None
    affinity: Learnt | None = None

    def note(self, searched: Candidates, query: Query) -> None:
        """Judge the query's candidates after each stage; stages that did not happen repeat the one before."""
        gains = {str(article_id(SOURCE, slug)): gain for slug, gain in query.gains.items()}
        for stage, order in rankings(searched).items():
            self.stages.setdefault(stage, []).append(Figures.of(order, gains))

    def as_json(self) -> dict[str, Any]:
        whole, tail = mean(self.figures), mean(self.figures[int((1 - TAIL) * len(self.figures)) :])
        took = [each.latency_ms["total"] for each in self.retrievals]
        return {
            "ndcg@10": round(whole.ndcg, 4),
            "hit@10": round(whole.hit, 4),
            "mrr@10": round(whole.mrr, 4),
            "p50_ms": round(float(np.percentile(took, 50)), 2),
            "p95_ms": round(float(np.percentile(took, 95)), 2),
            "chunks": self.chunks,
            "queries": len(self.figures),
            "tail_ndcg@10": round(tail.ndcg, 4),
            "tail_hit@10": round(tail.hit, 4),
            "found": round(sum(each.found for each in self.retrievals) / len(self.retrievals), 4),
            "degraded": sum(bool(each.degraded) for each in self.retrievals),
            "index_seconds": round(self.index_seconds, 1),
            "cases": self.cases,
            "learnt": asdict(self.learnt) if self.learnt else {},
            "affinity": asdict(self.affinity) if self.affinity else {},
            "stages": {name: summary(each) for name, each in self.stages.items()}
            | {"production": summary(self.figures)},
            "latency_ms": self._latencies(),
        }

    def _latencies(self) -> dict[str, float]:
        names = sorted({name for each in self.retrievals for name in each.latency_ms})
        return {
            name: round(float(np.median([each.latency_ms.get(name, 0.0) for each in self.retrievals])), 2)
            for name in names
        }


async def evaluate(
    dataset: Dataset, profile: Profile, addresses: Addresses, report: Report, past: Dataset | None = None
) -> Result:
    """Index the corpus into the stores at `addresses`, learn from `past` and ask every query."""
    async with indexed(dataset.corpus, profile, addresses, report) as (pool, retriever, run):
        result = Result(chunks=run.chunks, index_seconds=run.seconds)
        if past:
            result.cases = await taught(past, pool, retriever, report)
            lessons = await asked(pool, retriever, report)
            result.learnt = await learn_weights(pool, retriever, profile.retrieval.collection, lessons)
            result.affinity = await learn_affinity(pool, retriever, CASES, lessons)
            await asyncio.sleep(KEEP_S)  # what was learnt is taken up then
        start = time.monotonic()
        for number, query in enumerate(dataset.queries, start=1):
            found = await retriever.retrieve(
                query.text, filters=Filters(), top_k=DEPTH, observe=partial(result.note, query=query)
            )
            result.retrievals.append(found)
            result.figures.append(_judged(found, query))
            report(f"{number:,} of {len(dataset.queries):,} queries, {time.monotonic() - start:.0f} s")
    return result


def _judged(found: Retrieval, query: Query) -> Figures:
    return Figures.of([passage.slug for passage in found.passages], query.gains)


def _profile(precision: Precision | None, changes: Sequence[str]) -> Profile:
    profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
    values = profile.model_dump()
    if precision:
        values["embedder"]["precision"] = precision
    for change in changes:
        name, _, value = change.partition("=")
        if name not in values["retrieval"]:
            raise DatasetError(f"--set {change}: there is no retrieval setting {name!r}")
        values["retrieval"][name] = value
    return Profile.model_validate(values)
