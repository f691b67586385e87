"""`python -m pipelines.evaluate retrieval`: how well the production retriever finds what was judged relevant.

Indexes the data set's corpus into stores of its own, thrown away afterwards, as the indexer does, and asks
every query once, one after the other, through the retriever as the profile sets it up; only `per_article` is
1, since the judgements are of articles. With `--learn-from` another set's queries are solved cases first.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app import db
from app.cases.library import PostgresCases
from app.knowledge.indexing import article_id
from app.knowledge.library import PostgresLibrary
from config import environment
from config.embedded.stores import Addresses, Stores
from config.profile import Profile, load
from models.embedding.local import LocalEmbedder
from models.embedding.onnx import Precision
from models.loading.sources import Source
from models.reranking.late_interaction import LateInteraction
from models.reranking.local import LocalReranker
from models.retrieval.cases import CaseMemory
from models.retrieval.learning import Learnt
from models.retrieval.milvus import MilvusStore
from models.retrieval.passages import Filters, Retrieval
from models.retrieval.retriever import Candidates, Retriever, RetrieverSettings
from pipelines import console
from pipelines.evaluation.beir import Dataset, DatasetError, Query
from pipelines.evaluation.cases import CaseStores, learn_weight, teach
from pipelines.evaluation.ranking import DEPTH, Figures, mean
from pipelines.evaluation.stages import plot, rankings, summary
from pipelines.indexing.compute import in_process
from pipelines.indexing.run import Run, Settings
from pipelines.indexing.summary import Summary

SOURCE = "corpus"
CASES = "cases"
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
    with console.progress("retrieval") as report, _stores() as addresses:
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
    dataset: Dataset,
    profile: Profile,
    addresses: Addresses,
    report: Callable[[str], None],
    past: Dataset | None = None,
) -> Result:
    """Index the corpus into the stores at `addresses`, learn from `past` and ask every query."""
    dsn, uri = addresses.database_url or "", addresses.milvus_uri or ""
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=profile.stores.statement_timeout_s)
    store = MilvusStore(uri, profile.retrieval.collection, timeout_s=profile.retrieval.timeout_s)
    try:
        result = await _indexed(dataset, profile, pool, store, report)
        retriever = retriever_over(profile, pool, store, uri)
        if past:
            await _learn(past, profile, pool, retriever, result, report)
        start = time.monotonic()
        for number, query in enumerate(dataset.queries, start=1):
            found = await retriever.retrieve(
                query.text, filters=Filters(), top_k=DEPTH, observe=partial(result.note, query=query)
            )
            result.retrievals.append(found)
            result.figures.append(_judged(found, query))
            report(f"{number:,} of {len(dataset.queries):,} queries, {time.monotonic() - start:.0f} s")
    finally:
        await store.close()
        await pool.close()
    return result


async def _learn(
    past: Dataset,
    profile: Profile,
    pool: db.Pool,
    retriever: Retriever,
    result: Result,
    report: Callable[[str], None],
) -> None:
    memory, name = retriever.cases, profile.retrieval.collection
    if memory is None:
        return
    stores = CaseStores(pool, memory.store, CASES, retriever.embedder, retriever.settings.first_line_weight)
    await teach(past, SOURCE, stores, report)
    result.cases = len(past.queries)
    result.learnt = await learn_weight(pool, retriever, name, report)


def _judged(found: Retrieval, query: Query) -> Figures:
    return Figures.of([passage.slug for passage in found.passages], query.gains)


async def _indexed(
    dataset: Dataset, profile: Profile, pool: db.Pool, store: MilvusStore, report: Callable[[str], None]
) -> Result:
    settings = Settings.of(profile, environment.read())
    settings = replace(settings, embedder=replace(settings.embedder, threads=os.cpu_count() or 1))
    summary = Summary()
    indexing = Run(
        pool=pool,
        store=store,
        settings=settings,
        compute=in_process(settings.embedder, settings.chunking),
        summary=summary,
        progress=lambda s: report(f"{s.documents:,} documents, {s.embedded:,} chunks embedded"),
    )
    await indexing.index([Source(SOURCE, dataset.corpus)])
    summary.ended()
    for problem in summary.skipped:
        console.warn(str(problem))
    return Result(chunks=summary.chunks, index_seconds=summary.seconds)


def retriever_over(
    profile: Profile, pool: db.Pool, store: MilvusStore, uri: str, cases: str = CASES
) -> Retriever:
    """As the service puts it together, with the models in this process; one passage an article."""
    settings, models = profile.retrieval, environment.read().models
    chosen = RetrieverSettings(**{f.name: getattr(settings, f.name) for f in fields(RetrieverSettings)})
    reranker = profile.reranker
    return Retriever(
        embedder=LocalEmbedder(Settings.of(profile, environment.read()).embedder.open()),
        store=store,
        library=PostgresLibrary(pool, settings.collection),
        reranker=LocalReranker(
            LateInteraction(models / reranker.model, threads=reranker.threads, max_tokens=reranker.max_tokens)
        )
        if settings.rerank
        else None,
        settings=replace(chosen, per_article=1),
        cases=CaseMemory(
            MilvusStore(uri, cases, timeout_s=settings.timeout_s),
            PostgresCases(pool, settings.collection),
            chosen.voting,
        ),
    )


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


@contextmanager
def _stores() -> Iterator[Addresses]:
    """Stores in a home of their own, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="es-evaluate-"))
    stores = Stores(home, wanted=frozenset({"postgres", "milvus"}))
    try:
        with stores as addresses:
            yield addresses
    finally:
        stores.destroy()
        shutil.rmtree(home, ignore_errors=True)
