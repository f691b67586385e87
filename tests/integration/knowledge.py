"""What the tests of indexing and retrieval share: the real embedder, stores of their own, a small source."""

import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from app import db
from app.knowledge.library import PostgresLibrary
from config import environment, profile
from config.environment import CHECKOUT
from models.embedding.local import LocalEmbedder
from models.embedding.onnx import OnnxEmbedder
from models.embedding.protocol import Encoder
from models.loading.sources import Source
from models.reranking.protocol import Reranker
from models.retrieval.milvus import MilvusStore
from models.retrieval.retriever import Retriever
from models.retrieval.settings import RetrieverSettings
from models.retrieval.store import VectorStore
from pipelines.indexing.compute import in_process
from pipelines.indexing.run import Run, Settings
from pipelines.indexing.stages import EmbedderOptions
from pipelines.indexing.summary import Summary

ARTICLES = {
    "conflicts": (
        "Resolve sync conflicts",
        "## Why copies appear\n\nTwo devices changed the same paragraph while one of them was offline.\n\n"
        "## Merge them\n\nOpen the conflict copy, choose Compare, and keep the version that you want.",
    ),
    "refunds": (
        "Get a refund",
        "## Who can get one\n\nYearly plans are refunded within fourteen days of the payment.\n\n"
        "## How to ask\n\nOpen Billing, choose the invoice, and select Request a refund.",
    ),
    "codes": (
        "Error codes",
        "| Code | Meaning |\n|---|---|\n| FL-204 | The storage is full |\n| FL-320 | The clock is wrong |",
    ),
}


@cache
def prepared() -> OnnxEmbedder:
    folder = environment.read().models
    subprocess.run(
        [sys.executable, "-m", "models.preparation", "embedder"],
        cwd=CHECKOUT,
        env={**os.environ, "ESERVICE_MODELS": str(folder)},
        check=True,
        capture_output=True,
        timeout=300,
    )
    return OnnxEmbedder(folder / "all-minilm-l6-v2")


def front_matter(title: str, body: str, **fields: str) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in {"title": title, **fields}.items())
    return f"---\n{lines}---\n\n{body}\n"


def write(folder: Path, slug: str, title: str, body: str, **fields: str) -> None:
    (folder / f"{slug}.md").write_text(front_matter(title, body, **fields))


def sample(folder: Path) -> Path:
    """A folder of three articles."""
    folder.mkdir()
    for slug, (title, body) in ARTICLES.items():
        write(folder, slug, title, body)
    return folder


class Opened(EmbedderOptions):
    """Opened once for all tests; it takes 0.2 s."""

    def open(self) -> Encoder:
        return _opened(self)


@cache
def _opened(options: EmbedderOptions) -> Encoder:
    return EmbedderOptions.open(options)


@dataclass(slots=True)
class Knowledge:
    """A knowledge base in a database and a collection of its own, indexed without Ray."""

    pool: db.Pool
    store: MilvusStore
    settings: Settings

    @classmethod
    def new(cls, pool: db.Pool, milvus_uri: str, index: str | None = None) -> "Knowledge":
        prepared()
        name = index or f"test_{uuid.uuid4().hex}"
        settings = Settings.of(profile.load("test"), environment.read())
        options = settings.embedder
        once = Opened(options.folder, options.precision, options.threads, options.max_tokens, options.signs)
        settings = replace(settings, index=name, embedder=once)
        return cls(pool, MilvusStore(milvus_uri, name), settings)

    async def index(self, *paths: Path, full: bool = False, limit: int | None = None) -> Summary:
        summary = Summary()
        run = Run(
            pool=self.pool,
            store=self.store,
            settings=self.settings,
            compute=in_process(self.settings.embedder, self.settings.chunking),
            summary=summary,
            limit=limit,
        )
        await run.index([Source.parse(str(path)) for path in paths], full=full)
        return summary

    def retriever(
        self,
        *,
        store: VectorStore | None = None,
        reranker: Reranker | None = None,
        embedder: LocalEmbedder | None = None,
        **settings: float,
    ) -> Retriever:
        return Retriever(
            embedder=embedder or LocalEmbedder(prepared()),
            store=store or self.store,
            library=PostgresLibrary(self.pool, self.settings.index),
            reranker=reranker,
            settings=replace(RetrieverSettings(), **settings),
        )


def slugs(passages: Sequence[object]) -> list[str]:
    return [str(getattr(each, "slug", "")) for each in passages]
