"""Serves triage with the active version, and takes up a new one when PostgreSQL names it."""

import asyncio
import contextlib

import structlog
from ray import serve
from ray.serve.handle import DeploymentHandle

from app import db
from app.routing import service as routing
from config import environment
from config.profile import Profile
from deployments import composition
from deployments.remote import RemoteEmbedder
from models.triage.learnt import LearntTriager
from models.triage.protocol import Triage as Verdict
from models.triage.protocol import Triager
from models.triage.untrained import UntrainedTriager
from monitoring import logs

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0


@serve.deployment(max_ongoing_requests=32, max_queued_requests=256)
class Triage:
    async def __init__(self, profile: Profile, *, embedder: DeploymentHandle) -> None:
        logs.set_up()
        settings = profile.embedder
        self.embedder = RemoteEmbedder(embedder, name=settings.model, dimensions=settings.dimensions)
        self.abstain_below = profile.triage.abstain_below
        env = environment.read()
        self.artefacts = env.artefacts
        self.pool = await composition.open_pool(profile, env)
        self.version: str | None = None
        self.triager: Triager = UntrainedTriager()
        await self.look()
        self.watch = asyncio.create_task(self._watch())

    async def triage(self, subject: str, body: str) -> Verdict:
        return await self.triager.triage(subject, body)

    async def look(self) -> None:
        """Take up the active version; without one, or without PostgreSQL, go on with what there is."""
        try:
            async with db.transaction(self.pool) as conn:
                active = await routing.active_triage_version(conn)
        except db.DatabaseDown:
            return
        if active and str(active.id) != self.version:
            self.triager = await asyncio.to_thread(
                LearntTriager.load,
                self.artefacts / active.artefact,
                self.embedder,
                abstain_below=self.abstain_below,
                version=str(active.id),
            )
            self.version = str(active.id)
            log.info("triage version taken up", version=self.version)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as error:  # a broken version must not take the working one down
                log.error("the active triage version cannot be used", exc_info=error)

    def check_health(self) -> None:
        if self.watch.done():
            raise RuntimeError("the watch on triage versions has ended")

    async def __del__(self) -> None:
        self.watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.watch
        await self.pool.close()
