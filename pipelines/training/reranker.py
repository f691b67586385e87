"""Trains a reranker on the service's solved cases, and registers it as a version.

A cross-encoder learns from the oldest cases to tell what solved a question from what only looks like it. On
the newest ones it has to be better than no reranker at all; with --promote it answers then, within seconds. A
training that was interrupted, or whose time was over (exit status 3), goes on where it was. With --dataset it
learns from a BEIR folder instead, in stores of its own, and nothing is registered.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import JsonValue

from app import db
from app.cases import service as cases
from app.knowledge import rerankers
from config import environment
from config.embedded.child import StoreFailed
from config.embedded.stores import Stores, unnamed
from config.environment import Environment
from config.profile import Profile, ProfileError, load
from models.artefacts import Artefacts
from models.embedding.half import weights
from models.embedding.onnx import ModelNotFound
from models.reranking.cross_encoder import CrossEncoder
from models.reranking.export import export
from models.reranking.training import NotEnoughCases, Report, Training, Unfinished, train
from models.retrieval.retriever import Retriever
from models.retrieval.store import StoreUnavailable
from pipelines import console
from pipelines.evaluation import live
from pipelines.evaluation.beir import Dataset
from pipelines.evaluation.trial import indexed, taught, throwaway
from pipelines.training.reranking import MIDDLE, OLDER, asked, judge

UNFINISHED = 3
TROUBLES = (
    NotEnoughCases,
    ModelNotFound,
    ProfileError,
    StoreFailed,
    StoreUnavailable,
    db.MigrationError,
    db.DatabaseDown,
    ValueError,
    OSError,
    asyncpg.PostgresError,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="a BEIR folder; nothing is registered")
    parser.add_argument("--last", type=int, default=2_000, help="how many of the newest cases")
    parser.add_argument("--for", type=float, default=float("inf"), metavar="SECONDS", dest="seconds")
    parser.add_argument("--epochs", type=int, default=Training().epochs)
    parser.add_argument("--device", help="torch's; a GPU where one is seen")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="also write the model's files there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")
    parser.add_argument("--promote", action="store_true", help="let it answer, if it won")


def run(args: argparse.Namespace) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with console.progress("reranker") as report:
            summary = asyncio.run(_run(args, report))
    except Unfinished as error:
        console.failed(error)
        return UNFINISHED
    except TROUBLES as error:
        return console.failed(f"train reranker: {error}")
    except KeyboardInterrupt:
        return console.failed("interrupted; the next run goes on from the last checkpoint")
    console.table("Reranker", summary)
    if args.json:
        args.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0


async def _run(args: argparse.Namespace, report: Report) -> dict[str, JsonValue]:
    here, started = environment.read(), time.monotonic()
    if args.promote and profile().reranker.kind == "cross_encoder":
        raise ValueError(
            "the profile names a cross-encoder, which it would replace unseen: leave --promote out"
        )
    opening = _of_dataset(args, report) if args.dataset else _of_service(here)
    async with opening as (pool, retriever):
        settings = Training(epochs=args.epochs, device=args.device)
        summary = await fitted(pool, retriever, here, args, settings, report)
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


def profile() -> Profile:
    return load(os.environ.get("ESERVICE_PROFILE") or "local")


@asynccontextmanager
async def _of_service(here: Environment) -> AsyncIterator[tuple[db.Pool, Retriever]]:
    with Stores(here.home, wanted=unnamed(here) - {"valkey"}) as addresses:
        os.environ.update(addresses.environ())
        async with live.opened(profile()) as opened:
            yield opened


@asynccontextmanager
async def _of_dataset(args: argparse.Namespace, report: Report) -> AsyncIterator[tuple[db.Pool, Retriever]]:
    dataset = Dataset.read(args.dataset)
    with throwaway() as addresses:
        async with indexed(dataset.corpus, profile(), addresses, report) as (pool, retriever, _):
            await taught(dataset, pool, retriever, report)
            yield pool, retriever


async def fitted(
    pool: db.Pool,
    retriever: Retriever,
    here: Environment,
    args: argparse.Namespace,
    settings: Training,
    report: Report,
) -> dict[str, JsonValue]:
    """Train, judge and, where the cases are the service's own, register."""
    until = time.monotonic() + args.seconds
    async with db.transaction(pool) as conn:
        known = await cases.confirmed(conn, args.last)
    found = await asked(retriever, known, report)
    older, middle = int(OLDER * len(found)), int(MIDDLE * len(found))
    groups = [each.group for each in found[:older]]
    checkpoint = here.home / "training" / f"reranker-{settings.fingerprint(groups)}.pt"
    start = weights(here.models / retriever.embedder.name)
    trained = await asyncio.to_thread(
        train, start, groups, settings, checkpoint=checkpoint, report=report, until=until
    )
    with tempfile.TemporaryDirectory() as draft:
        folder = args.keep or Path(draft) / "model"
        await asyncio.to_thread(export, trained, folder)
        model = CrossEncoder(folder, threads=os.cpu_count() or 1, max_tokens=settings.max_tokens)
        verdict = await asyncio.to_thread(judge, model, found[older:middle], found[middle:], report)
        figures: dict[str, JsonValue] = {"trained_on": older, "epochs": settings.epochs, **asdict(verdict)}
        summary: dict[str, JsonValue] = {**figures, "won": verdict.won, "promoted": False}
        if not args.dataset:
            name = f"reranker/{datetime.now(UTC):%Y%m%dT%H%M%S}"
            Artefacts(here.artefacts).put(name, folder)
            async with db.transaction(pool) as conn:
                version = await rerankers.add(
                    conn,
                    name,
                    weight=verdict.weight,
                    max_tokens=settings.max_tokens,
                    figures=figures,
                    won=verdict.won,
                )
                if args.promote and verdict.won:
                    await rerankers.promote(conn, version.id)
            summary |= {"version": str(version.id), "promoted": args.promote and verdict.won}
    checkpoint.unlink(missing_ok=True)
    return summary
