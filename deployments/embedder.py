"""Serves the embedding model, gathering concurrent texts into one forward pass where that is faster.

There is no torch in this process unless the profile's precision, or an index's, asks for it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ray import serve

from config import environment
from config.profile import EmbedderSettings
from deployments import observation
from deployments.tracing import continued
from models.embedding.onnx import ModelNotFound
from models.embedding.opening import open_encoder, parse
from models.embedding.protocol import Encoder, Vectors

MODELS = 3
"""Kept in memory by one replica: the profile's, and those of two other index versions."""


@serve.deployment(max_ongoing_requests=64, max_queued_requests=256)
class Embedder:
    def __init__(self, settings: EmbedderSettings) -> None:
        observation.set_up()
        self.model = open_encoder(
            environment.read().models / settings.model,
            settings.precision,
            threads=settings.threads,
            max_tokens=settings.max_tokens,
        )
        self.models = {self.model.version: self.model}
        self.threads = settings.threads
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self.gather.set_max_batch_size(settings.max_batch)
        self.gather.set_batch_wait_timeout_s(settings.batch_wait_s)

    @continued
    async def embed(self, texts: list[str], version: str = "", fading: bool = False) -> Vectors:
        """Embed a short list; the result has shape (len(texts), dimensions), `fading` (…, 2, dimensions).

        `version` names another model than the profile's, as an index was made with; it is loaded when it is
        first asked for.
        """
        wanted = version or self.model.version
        if parse(wanted)[1] == "int8":  # which runs every text alone: company would only be waited for
            return await self._on_thread(wanted, texts, fading)
        rows: Vectors | Exception = await self.gather((wanted, fading, texts))
        if isinstance(rows, Exception):
            raise rows
        return rows

    @continued
    async def read(self, texts: list[str], version: str = "") -> tuple[Vectors, list[bytes]]:
        """Embed a short list to index it: with the signs of its tokens, where the model gives any."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self._read, version or self.model.version, texts)

    @serve.batch
    async def gather(self, calls: list[tuple[str, bool, list[str]]]) -> list[Vectors | Exception]:
        """Called with one list; Serve hands over all that wait. One pass a model, then each caller's rows."""
        rows: list[Vectors | Exception] = [np.empty(0, np.float32)] * len(calls)
        for version, fading in {call[:2] for call in calls}:
            mine = [i for i, call in enumerate(calls) if call[:2] == (version, fading)]
            texts = [text for i in mine for text in calls[i][2]]
            try:
                vectors = await self._on_thread(version, texts, fading)
            except (ModelNotFound, ValueError) as error:  # theirs alone: the others have their vectors
                for i in mine:
                    rows[i] = error
                continue
            start = 0
            for i in mine:
                rows[i] = vectors[start : start + len(calls[i][2])]
                start += len(calls[i][2])
        return rows

    async def _on_thread(self, version: str, texts: list[str], fading: bool) -> Vectors:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self._encode, version, texts, fading)

    def _encode(self, version: str, texts: list[str], fading: bool) -> Vectors:
        model = self._opened(version)
        return model.encode_fading(texts) if fading else model.encode(texts)

    def _read(self, version: str, texts: list[str]) -> tuple[Vectors, list[bytes]]:
        return self._opened(version).read(texts)

    def _opened(self, version: str) -> Encoder:
        """On the models' thread."""
        if version not in self.models:
            if len(self.models) == MODELS:  # the oldest that is not the profile's own
                del self.models[next(each for each in self.models if each != self.model.version)]
            self.models[version] = opened(version, self.threads)
        return self.models[version]

    def check_health(self) -> None:
        """Raises when the model no longer answers; it shares the replica's loop, so that it stays cheap."""
        if self.thread._shutdown:
            raise RuntimeError("the embedding thread is gone")


def opened(version: str, threads: int) -> Encoder:
    """The model that an index's description names."""
    name, precision, max_tokens = parse(version)
    folder = environment.read().models / name
    return open_encoder(folder, precision, threads=threads, max_tokens=max_tokens)
