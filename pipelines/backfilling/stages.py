"""The stage that runs in Ray actors: tickets in, what triage says of them out. It knows nothing of Ray."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.embedding.local import LocalEmbedder
from models.triage.learnt import LearntTriager
from pipelines.indexing.stages import EmbedderOptions

Batch = dict[str, np.ndarray[Any, Any]]
TICKETS = 32
"""In one batch: a second or two of embedding."""


@dataclass(frozen=True, slots=True)
class TriagerOptions:
    embedder: EmbedderOptions
    artefact: Path
    version: str
    abstain_below: float


class Read:
    """One actor's triage; a batch has the columns `id`, `subject` and `body`."""

    def __init__(self, options: TriagerOptions) -> None:
        self._triager = LearntTriager.load(
            options.artefact,
            LocalEmbedder(options.embedder.open()),
            abstain_below=options.abstain_below,
            version=options.version,
        )

    def __call__(self, batch: Batch) -> Batch:
        said = asyncio.run(self._read(batch))
        column = np.empty(len(said), dtype=object)
        column[:] = said
        return {"id": batch["id"], "said": column}

    async def _read(self, batch: Batch) -> list[Any]:
        texts = zip(batch["subject"], batch["body"], strict=True)
        return [await self._triager.triage(str(subject), str(body)) for subject, body in texts]
