"""Serves the reranking model: the profile's, or the version that was trained on solved cases and won.

There is no torch in this process unless the profile asks for half precision.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog
from ray import serve

from app import db
from app.knowledge import rerankers
from app.knowledge.rerankers import RerankerVersion
from config import environment
from config.profile import Profile
from deployments import composition, observation
from deployments.tracing import continued
from deployments.watching import Watching
from models.artefacts import Artefacts
from models.reranking.cross_encoder import CrossEncoder
from models.reranking.local import Model
from models.reranking.opening import open_reranker
from models.reranking.protocol import Scores

log = structlog.get_logger(__name__)


@serve.deployment(max_ongoing_requests=32, max_queued_requests=128)
class Reranker(Watching):
    async def __init__(self, profile: Profile) -> None:
        observation.set_up()
        settings, env = profile.reranker, environment.read()
        self.threads = settings.threads
        self.own = open_reranker(
            env.models,
            settings.model,
            kind=settings.kind,
            precision=settings.precision,
            threads=settings.threads,
            max_tokens=settings.max_tokens,
        )
        self.model: Model = self.own
        self.version: UUID | None = None
        self.artefacts = Artefacts(env.artefacts)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        await self.begin(await composition.open_pool(profile, env), "the reranker's versions")

    @continued
    async def score(self, query: str, documents: list[str], signs: Sequence[bytes] = ()) -> Scores:
        """One score a document, higher is better."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.model.score, query, documents, signs)

    async def look(self) -> None:
        """Take up the version that PostgreSQL names; what cannot be used leaves the last one in place."""
        try:
            wanted = await db.read(self.pool, rerankers.active)
        except db.DatabaseDown:
            return
        if (wanted.id if wanted else None) == self.version:
            return
        try:
            model = await asyncio.to_thread(self._read, wanted) if wanted else self.own
        except Exception as error:  # whatever is wrong with its files or their store
            log.error("a trained reranker cannot be used", version=str(wanted and wanted.id), exc_info=error)
            return
        self.model, self.version = model, wanted.id if wanted else None
        log.info("reranker taken up", version=str(self.version))

    def _read(self, version: RerankerVersion) -> CrossEncoder:
        folder = self.artefacts.fetch(version.artefact)
        return CrossEncoder(folder, threads=self.threads, max_tokens=version.max_tokens)
