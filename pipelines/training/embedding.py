"""Embeds texts with the model that the service serves, in this process, with a progress bar."""

import os
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.progress import track

from config.environment import Environment
from config.profile import EmbedderSettings
from models.embedding.onnx import OnnxEmbedder
from models.embedding.protocol import Vectors

BATCH = 256


def embed(
    texts: Sequence[str], settings: EmbedderSettings, environment: Environment, *, console: Console
) -> Vectors:
    """One unit vector a text; raises `ModelNotFound` where the models were not prepared."""
    threads = os.cpu_count() or 1
    model = OnnxEmbedder(
        environment.models / settings.model,
        settings.precision,
        threads=threads,
        max_tokens=settings.max_tokens,
    )
    vectors = np.empty((len(texts), model.dimensions), dtype=np.float32)
    starts = range(0, len(texts), BATCH)
    for i in track(starts, description="embedding", console=console, disable=not console.is_terminal):
        vectors[i : i + BATCH] = model.encode(texts[i : i + BATCH])
    return vectors
