"""The running service's own questions: every confirmed case asked again as if it were new.

Judges retrieval continuously, and learns how much votes count. Cases are asked with themselves left out.
"""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import db
from app.cases import service as cases
from app.cases.library import case_collection
from config import environment
from config.embedded.stores import Stores, unnamed
from config.profile import Profile, load
from models.retrieval.milvus import MilvusStore
from models.retrieval.passages import Filters
from models.retrieval.retriever import Candidates, Retriever
from pipelines import console
from pipelines.evaluation.cases import asked, learn_affinity, learn_weights
from pipelines.evaluation.ranking import DEPTH, Figures
from pipelines.evaluation.stages import rankings, summary
from pipelines.evaluation.trial import retriever_over

READER = Filters(audiences=frozenset({"public", "customers", "agents"}))
"""Reads what staff read: what cases were linked to is looked for wherever it stands."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", type=int, default=400, help="how many of the newest cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--learn", action="store_true", help="keep what wins on newer cases")


def run(options: argparse.Namespace) -> int:
    env = environment.read()
    with Stores(env.home, wanted=unnamed(env) - {"valkey"}) as addresses, console.progress("live") as report:
        os.environ.update(addresses.environ())
        profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
        figures = asyncio.run(_run(options, profile, report))
    for name, values in figures.items():
        console.table(name, values)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


async def _run(
    options: argparse.Namespace, profile: Profile, report: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    async with opened(profile) as (pool, retriever):
        figures = await judged(pool, retriever, options.last, report)
        if options.learn:
            past = await asked(pool, retriever, report)
            collection = case_collection(profile.embedder.model, profile.embedder.precision)
            figures |= {
                name: asdict(learnt) if learnt else {"won": False, "why": "too few cases"}
                for name, learnt in (
                    ("learnt", await learn_weights(pool, retriever, profile.retrieval.collection, past)),
                    ("affinity", await learn_affinity(pool, retriever, collection, past)),
                )
            }
    return figures


async def judged(
    pool: db.Pool, retriever: Retriever, last: int, report: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Each stage's figures on the newest `last` cases."""
    async with db.transaction(pool) as conn:
        known = await cases.confirmed(conn, last)
    if not known:
        raise ValueError("there is no confirmed case yet, so that there is nothing to judge by")
    stages: dict[str, list[Figures]] = {}
    for number, case in enumerate(known, start=1):
        gains = {str(article): 1 for article in case.articles}
        seen: list[Candidates] = []
        found = await retriever.retrieve(
            case.question, filters=READER, top_k=DEPTH, without_cases=[str(case.id)], observe=seen.append
        )
        orders = rankings(seen[0]) if seen else {}
        orders.setdefault("with_cases", orders.get("fused", []))
        orders["production"] = [passage.article_id for passage in found.passages]
        for stage, order in orders.items():
            stages.setdefault(stage, []).append(Figures.of(order, gains))
        report(f"{number:,} of {len(known):,} cases")
    return {stage: {"cases": len(known), **summary(each)} for stage, each in stages.items()}


@asynccontextmanager
async def opened(profile: Profile) -> AsyncIterator[tuple[db.Pool, Retriever]]:
    """The production retriever over the environment's stores."""
    env = environment.read()
    pool = await db.connect(
        env.require_database_url(), max_size=4, statement_timeout_s=profile.stores.statement_timeout_s
    )
    uri = env.require_milvus_uri()
    store = MilvusStore(uri, profile.retrieval.collection, timeout_s=profile.retrieval.timeout_s)
    collection = case_collection(profile.embedder.model, profile.embedder.precision)
    retriever = retriever_over(profile, pool, store, uri, collection)
    try:
        yield pool, retriever
    finally:
        await retriever.close()
        await pool.close()
