"""Serves the reranking model. No torch in this process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ray import serve

from config import environment
from config.profile import RerankerSettings
from deployments import observation
from deployments.tracing import continued
from models.reranking.late_interaction import LateInteraction
from models.reranking.protocol import Scores


@serve.deployment(max_ongoing_requests=32, max_queued_requests=128)
class Reranker:
    def __init__(self, settings: RerankerSettings) -> None:
        observation.set_up()
        self.model = LateInteraction(
            environment.read().models / settings.model,
            threads=settings.threads,
            max_tokens=settings.max_tokens,
        )
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rerank")

    @continued
    async def score(self, query: str, documents: list[str]) -> Scores:
        """One score a document, higher is better."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.model.score, query, documents)
