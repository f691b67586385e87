"""Serves the embedding model, gathering concurrent texts into one forward pass. No torch in this process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ray import serve

from config import environment
from config.profile import EmbedderSettings
from deployments import observation
from deployments.tracing import continued
from models.embedding.onnx import OnnxEmbedder
from models.embedding.protocol import Vectors


@serve.deployment(max_ongoing_requests=64, max_queued_requests=256)
class Embedder:
    def __init__(self, settings: EmbedderSettings) -> None:
        observation.set_up()
        self.model = OnnxEmbedder(
            environment.read().models / settings.model,
            precision=settings.precision,
            threads=settings.threads,
            max_tokens=settings.max_tokens,
        )
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self.gather.set_max_batch_size(settings.max_batch)
        self.gather.set_batch_wait_timeout_s(settings.batch_wait_s)

    @continued
    async def embed(self, texts: list[str]) -> Vectors:
        """Embed a short list; the result has shape (len(texts), dimensions)."""
        return await self.gather(texts)

    @serve.batch
    async def gather(self, calls: list[list[str]]) -> list[Vectors]:
        """Called with one list; Serve hands over all that wait. One pass, then each caller's rows."""
        texts = [text for call in calls for text in call]
        vectors = await asyncio.get_running_loop().run_in_executor(self.thread, self.model.encode, texts)
        ends, start = [], 0
        for call in calls:
            ends.append(vectors[start : start + len(call)])
            start += len(call)
        return ends

    def check_health(self) -> None:
        """Raises when the model no longer answers; it shares the replica's loop, so that it stays cheap."""
        if self.thread._shutdown:
            raise RuntimeError("the embedding thread is gone")
