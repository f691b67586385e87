"""Serves triage with the active version and its shadow, and takes up others when PostgreSQL names them."""

import asyncio
from dataclasses import replace
from datetime import datetime

import structlog
from ray import serve
from ray.serve.handle import DeploymentHandle
from threadpoolctl import threadpool_limits

from app import db
from app.triage import service as versions
from app.triage.schemas import Version
from config import environment
from config.profile import Profile
from deployments import composition, observation
from deployments.remote import RemoteEmbedder
from deployments.tracing import continued
from deployments.watching import Watching
from models.artefacts import Artefacts
from models.triage.learnt import LearntTriager
from models.triage.protocol import Triage as Verdict
from models.triage.untrained import UntrainedTriager

log = structlog.get_logger(__name__)


@serve.deployment(max_ongoing_requests=32, max_queued_requests=256)
class Triage(Watching):
    async def __init__(self, profile: Profile, *, embedder: DeploymentHandle) -> None:
        observation.set_up()
        threadpool_limits(1)  # a ticket's neighbours took two BLAS threads 7.1 ms on a busy machine, one 1.6
        settings, env = profile.embedder, environment.read()
        self.embedder = RemoteEmbedder(embedder, name=settings.model, dimensions=settings.dimensions)
        self.abstain_below = profile.triage.abstain_below
        self.artefacts = Artefacts(env.artefacts)
        self.triager: LearntTriager | UntrainedTriager = UntrainedTriager()
        self.shadow: LearntTriager | None = None
        self.broken: set[str] = set()
        self.forgot: dict[str, datetime | None] = {}
        """Of versions by id, what they had forgotten when they were read."""
        await self.begin(await composition.open_pool(profile, env), "the triage versions")

    @continued
    async def triage(self, subject: str, body: str) -> Verdict:
        """The shadow reads along; where it fails, only its own word is missing."""
        triager, shadow = self.triager, self.shadow  # one pair for the whole request
        if shadow is None:
            return await triager.triage(subject, body)
        verdict, said = await asyncio.gather(
            triager.triage(subject, body), shadow.triage(subject, body), return_exceptions=True
        )
        if isinstance(verdict, BaseException):
            raise verdict
        return verdict if isinstance(said, BaseException) else replace(verdict, shadow=said)

    async def look(self) -> None:
        """Take up the versions that PostgreSQL names; without it, go on with what there is."""
        try:
            async with db.transaction(self.pool) as conn:
                active, shadow = await versions.active(conn), await versions.shadow(conn)
        except db.DatabaseDown:
            return
        now = self.triager.version
        if active is None:
            self.triager = UntrainedTriager() if now != UntrainedTriager.version else self.triager
        elif str(active.id) != now or self._is_stale(active):
            self.triager = await self._load(active) or self.triager
        if shadow is None:
            self.shadow = None
        elif self.shadow is None or self.shadow.version != str(shadow.id) or self._is_stale(shadow):
            self.shadow = await self._load(shadow)

    def _is_stale(self, version: Version) -> bool:
        """Whether it has forgotten somebody since it was read."""
        return self.forgot.get(str(version.id)) != version.forgot_at

    async def _load(self, version: Version) -> LearntTriager | None:
        """`None` where it cannot be used: a broken version must not take the working one down."""
        name = str(version.id)
        if self.shadow is not None and self.shadow.version == name and not self._is_stale(version):
            return self.shadow
        try:
            triager = await asyncio.to_thread(self._read, version)
        except Exception as error:  # whatever is wrong with its files or their store
            if name not in self.broken:
                log.error("a triage version cannot be used", version=name, exc_info=error)
            self.broken.add(name)
            return None
        self.broken.discard(name)
        self.forgot[name] = version.forgot_at
        log.info("triage version taken up", version=name, state=version.state)
        return triager

    def _read(self, version: Version) -> LearntTriager:
        return LearntTriager.load(
            self.artefacts.fetch(version.artefact),
            self.embedder,
            abstain_below=self.abstain_below,
            version=str(version.id),
        )
