"""Turns files into embedded work: on Ray Data for an indexing run, in this process to evaluate and test."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from app.knowledge.planning import Result, Stored
from models.loading.documents import Document
from models.loading.sources import Part
from models.retrieval.chunking import Chunking
from pipelines.indexing.stages import DOCUMENTS, Cut, Embed, EmbedderOptions, column

Item: TypeAlias = Part | tuple[str, Document]
Compute: TypeAlias = Callable[[Sequence[Item], Stored], Iterator[list[Result]]]


def on_ray(options: EmbedderOptions, chunking: Chunking, embedders: int) -> Compute:
    """Read and cut in one actor, embed in a pool of them, results as they come."""

    def compute(items: Sequence[Item], stored: Stored) -> Iterator[list[Result]]:
        if not items:
            return
        import ray  # half a second that the tests and evaluators do without

        data = ray.data.from_items([{"item": item} for item in items], override_num_blocks=min(len(items), 8))
        cut = data.map_batches(
            Cut,
            fn_constructor_args=(options, dict(stored), chunking),
            batch_size=1,
            num_cpus=0.5,
            concurrency=1,
        )
        embedded = cut.map_batches(
            Embed,
            fn_constructor_args=(options,),
            batch_size=DOCUMENTS,
            num_cpus=0.5,
            concurrency=embedders,
        )
        for batch in embedded.iter_batches(batch_size=2 * DOCUMENTS, prefetch_batches=1):
            yield list(batch["item"])

    return compute


def in_process(options: EmbedderOptions, chunking: Chunking) -> Compute:
    """The same stages one after the other, without Ray: for small sets."""

    def compute(items: Sequence[Item], stored: Stored) -> Iterator[list[Result]]:
        cut, embed = Cut(options, stored, chunking), Embed(options)
        for item in items:
            for batch in cut(column([item])):
                yield list(embed(batch)["item"])

    return compute
