"""`python -m pipelines.evaluate retrieval`: how well the production retriever finds what was judged relevant.

Indexes the data set's corpus into stores of its own, thrown away afterwards, as the indexer does, and asks
every query once, one after the other, through the retriever as the profile sets it up; only `per_article` is
1, since the judgements are of articles.
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
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app import db
from app.knowledge.library import PostgresLibrary
from config import environment
from config.embedded.stores import Addresses, Stores
from config.profile import Profile, load
from models.embedding.local import LocalEmbedder
from models.embedding.onnx import Precision
from models.loading.sources import Source
from models.reranking.late_interaction import LateInteraction
from models.reranking.local import LocalReranker
from models.retrieval.milvus import MilvusStore
from models.retrieval.passages import Filters, Retrieval
from models.retrieval.retriever import Retriever, RetrieverSettings
from pipelines import console
from pipelines.evaluation.beir import Dataset, DatasetError, Query
from pipelines.evaluation.ranking import DEPTH, Figures, mean
from pipelines.indexing.compute import in_process
from pipelines.indexing.run import Run, Settings
from pipelines.indexing.summary import Summary

TAIL = 0.3
"""The share of the queries, the last by id, that is reported on its own: nothing may be tuned on it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="a BEIR folder")
    parser.add_argument("--learn-from", type=Path, metavar="DIR", help="solved cases (not supported yet)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--precision", choices=get_args(Precision), help="instead of the profile's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a retrieval setting of the profile"
    )


def run(options: argparse.Namespace) -> int:
    if options.learn_from:
        raise DatasetError("--learn-from: learning from solved cases is not supported yet")
    profile = _profile(options.precision, options.set)
    dataset = Dataset.read(options.dataset)
    with console.progress("retrieval") as report, _stores() as addresses:
        result = asyncio.run(evaluate(dataset, profile, addresses, report))
    figures = result.as_json()
    console.table(
        f"Retrieval on {options.dataset.name}", {k: v for k, v in figures.items() if k != "latency_ms"}
    )
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
            "latency_ms": self._stages(),
        }

    def _stages(self) -> dict[str, float]:
        names = sorted({name for each in self.retrievals for name in each.latency_ms})
        return {
            name: round(float(np.median([each.latency_ms.get(name, 0.0) for each in self.retrievals])), 2)
            for name in names
        }


async def evaluate(
    dataset: Dataset, profile: Profile, addresses: Addresses, report: Callable[[str], None]
) -> Result:
    """Index the corpus into the stores at `addresses` and ask every query."""
    dsn, uri = addresses.database_url or "", addresses.milvus_uri or ""
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=4, statement_timeout_s=profile.stores.statement_timeout_s)
    store = MilvusStore(uri, profile.retrieval.collection, timeout_s=profile.retrieval.timeout_s)
    try:
        result = await _indexed(dataset, profile, pool, store, report)
        retriever = _retriever(profile, pool, store)
        start = time.monotonic()
        for number, query in enumerate(dataset.queries, start=1):
            found = await retriever.retrieve(query.text, filters=Filters(), top_k=DEPTH)
            result.retrievals.append(found)
            result.figures.append(_judged(found, query))
            report(f"{number:,} of {len(dataset.queries):,} queries, {time.monotonic() - start:.0f} s")
    finally:
        await store.close()
        await pool.close()
    return result


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
    await indexing.index([Source("corpus", dataset.corpus)])
    summary.ended()
    for problem in summary.skipped:
        console.warn(str(problem))
    return Result(chunks=summary.chunks, index_seconds=summary.seconds)


def _retriever(profile: Profile, pool: db.Pool, store: MilvusStore) -> Retriever:
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
