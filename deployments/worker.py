"""Runs jobs: rows that were written in the transaction of the change they follow from."""

import asyncio
from typing import Any

from ray import serve
from ray.serve.config import AutoscalingContext
from ray.serve.handle import DeploymentHandle
from redis.asyncio import Redis

from app import db, figures, resealing
from app.analytics import jobs as analytics
from app.audit.sealer import Sealer
from app.chat import jobs as chat
from app.events.relay import Relay
from app.events.sinks.invalidator import Invalidator
from app.jobs import housekeeping
from app.jobs import service as jobs
from app.jobs.runner import Runner
from app.jobs.schemas import Handler
from app.knowledge import jobs as knowledge
from app.routing import jobs as routing
from app.sla import jobs as sla
from app.tickets import jobs as tickets
from app.triage import watch
from app.triage.questions import Questions
from app.usage.budgets import Book
from app.webhooks import jobs as webhooks
from app.webhooks.fan_out import FanOut
from config import environment
from config.environment import Environment
from config.profile import Profile
from deployments import composition, observation
from deployments.providers import Providers
from deployments.remote import RemoteEmbedder, RemoteTriager
from deployments.retraining import Retraining
from models.triage.asking import Asker

QUEUED = "queued_jobs"


@serve.deployment(graceful_shutdown_timeout_s=30)
class Worker:
    async def __init__(
        self,
        profile: Profile,
        *,
        triage: DeploymentHandle,
        embedder: DeploymentHandle,
        llm: DeploymentHandle | None,
    ) -> None:
        observation.set_up()
        env = environment.read()
        self.pool = await composition.open_pool(profile, env)
        near = RemoteEmbedder(embedder, name=profile.embedder.model, dimensions=profile.embedder.dimensions)
        triager = RemoteTriager(triage)
        self.retraining = Retraining(profile.name)
        redis = composition.open_redis(profile, env)
        self.chat_models, watching = await composition.chat_models(
            Providers(profile, env, llm), self.pool, redis
        )
        book, settings = Book(self.pool), profile.triage
        asker = Asker(self.chat_models, deadline_s=settings.asking.deadline_s)
        questions = Questions(self.pool, book, asker, settings.asking)
        self.background = [*watching, asyncio.create_task(book.run())]
        handlers = self._handlers(profile, env, near, triager, questions)
        self.deliverer = composition.webhook_deliverer(profile, self.pool)
        outside = self.deliverer.handlers()
        self.stop = asyncio.Event()
        runners = (
            Runner(self.pool, handlers, profile.jobs, webhooks.LANE.others),
            Runner(self.pool, outside, webhooks.pace(profile), webhooks.LANE),
        )
        sealer = Sealer(self.pool, profile.audit)
        parts = (*runners, *self._relays(profile, env, redis), sealer)
        self.run = [asyncio.create_task(part.run(self.stop)) for part in parts]
        kinds = [*handlers, *outside]
        self.run.append(asyncio.create_task(figures.keep(self.pool, kinds, self.stop)))

    def _handlers(
        self,
        profile: Profile,
        env: Environment,
        near: RemoteEmbedder,
        triager: RemoteTriager,
        questions: Questions,
    ) -> dict[str, Handler]:
        """Every kind of job but what waits for other people's servers."""
        return {
            **routing.handlers(self.pool, triager, questions, least=profile.triage.abstain_below),
            **chat.handlers(self.pool, triager),
            **sla.handlers(),
            **tickets.handlers(),
            **composition.case_handlers(profile, env, self.pool, near),
            **watch.handlers(),
            **analytics.handlers(),
            **housekeeping.handlers(profile),
            **resealing.handlers(self.pool),
            **composition.privacy_handlers(profile, env, self.pool, near),
            **knowledge.handlers(composition.knowledge_tools(profile, env, self.pool, near)),
            **self.retraining.handlers(),
            **webhooks.housekeeping(profile.webhooks),
        }

    def _relays(self, profile: Profile, env: Environment, redis: Redis) -> list[Relay]:
        sinks = (composition.sink(profile, env), Invalidator(redis), FanOut(self.pool, profile.webhooks))
        return [Relay(self.pool, sink, profile.events) for sink in sinks]

    def check_health(self) -> None:
        """Raises when a part has ended, so that Serve replaces this replica."""
        ended = next((part for part in self.run if part.done()), None)
        if ended and not self.stop.is_set():
            raise RuntimeError(
                "the job runner, the events' relay, the audit's sealer or the figures have ended"
            ) from ended.exception()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """How many jobs wait; `replicas_for_queue` scales on it."""
        try:
            async with db.transaction(self.pool) as conn:
                return {QUEUED: float(await jobs.depth(conn))}
        except db.DatabaseDown:
            return {}

    async def __del__(self) -> None:
        """Ends what runs, gives the rest back."""
        self.stop.set()
        await asyncio.gather(*self.run, return_exceptions=True)
        for each in self.background:
            each.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.chat_models.close()
        await self.retraining.close()
        await self.deliverer.close()
        await self.pool.close()


class QueueDepthPolicy:
    """One replica for every `jobs_per_replica` waiting jobs, within the deployment's bounds.

    Every replica reports the depth of the same queue, hence the largest report and not their sum.
    """

    def __init__(self, jobs_per_replica: int = 50) -> None:
        self.jobs_per_replica = jobs_per_replica

    def __call__(self, ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        reports = (ctx.aggregated_metrics or {}).get(QUEUED, {})
        depth = max(reports.values(), default=0.0)
        wanted = -(-int(depth) // self.jobs_per_replica)
        low, high = ctx.capacity_adjusted_min_replicas, ctx.capacity_adjusted_max_replicas
        return max(low, min(high, wanted)), {}
