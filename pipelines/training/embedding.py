"""Embeds texts with the model that the service serves: on Ray Data, or in this process."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from config.environment import Environment
from config.profile import EmbedderSettings
from models.embedding.protocol import Vectors
from pipelines.indexing.cluster import connected
from pipelines.indexing.stages import EmbedderOptions

BATCH = 256
RAY_BATCH = 64
RAY_FROM = 1000
"""Texts from which Ray Data is used: it takes ten seconds to start."""

Batch = dict[str, np.ndarray[Any, Any]]


class Embed:
    """One actor's model; a batch has the columns `at` and `text`. It knows nothing of Ray."""

    def __init__(self, options: EmbedderOptions) -> None:
        self._model = options.open()

    def __call__(self, batch: Batch) -> Batch:
        return {"at": batch["at"], "vector": self._model.encode([str(text) for text in batch["text"]])}


def embed(
    texts: Sequence[str],
    settings: EmbedderSettings,
    environment: Environment,
    *,
    console: Console,
    on_ray: bool = False,
) -> Vectors:
    """One unit vector a text; raises `ModelNotFound` where the models were not prepared."""
    options = EmbedderOptions(
        environment.models / settings.model, settings.precision, 1, max_tokens=settings.max_tokens
    )
    options.check()
    vectors = np.empty((len(texts), settings.dimensions), dtype=np.float32)
    if on_ray and len(texts) >= RAY_FROM:
        with connected(environment.home) as actors:
            _embed_on_ray(texts, options, actors, vectors)
        return vectors
    model = replace(options, threads=os.cpu_count() or 1).open()
    starts = range(0, len(texts), BATCH)
    for i in track(starts, description="embedding", console=console, disable=not console.is_terminal):
        vectors[i : i + BATCH] = model.encode(texts[i : i + BATCH])
    return vectors


def _embed_on_ray(texts: Sequence[str], options: EmbedderOptions, actors: int, into: Vectors) -> None:
    import ray

    items = [{"at": i, "text": text} for i, text in enumerate(texts)]
    data = ray.data.from_items(items, override_num_blocks=max(1, len(items) // (4 * RAY_BATCH)))
    embedded = data.map_batches(
        Embed, fn_constructor_args=(options,), batch_size=RAY_BATCH, num_cpus=0.5, concurrency=actors
    )
    for batch in embedded.iter_batches(batch_size=4 * RAY_BATCH, prefetch_batches=1):
        into[batch["at"]] = batch["vector"]
