"""The HTTP ingress: the FastAPI application of `app`, its models behind deployment handles."""

import asyncio

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from app.main import create_app
from app.state import State
from config import environment
from config.profile import Profile
from deployments import composition, observation
from deployments.providers import Providers
from deployments.remote import RemoteAssistant, RemoteEmbedder, RemoteReranker, RemoteTriager
from models.prompts.tokens import counter_for


@serve.deployment(max_ongoing_requests=512)
@serve.ingress()
class Gateway:
    def __init__(
        self,
        profile: Profile,
        *,
        embedder: DeploymentHandle,
        reranker: DeploymentHandle,
        assistant: DeploymentHandle,
        triage: DeploymentHandle,
        llm: DeploymentHandle | None,
        worker: DeploymentHandle,
    ) -> None:
        """`worker` is never called: the handle makes it part of the application."""
        observation.set_up()
        self.profile = profile
        settings = profile.embedder
        self.embedder = RemoteEmbedder(embedder, name=settings.model, dimensions=settings.dimensions)
        self.reranker = RemoteReranker(reranker, name=profile.reranker.name)
        self.assistant = RemoteAssistant(assistant)
        self.triager = RemoteTriager(triage)
        self.llm = llm

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Runs on the replica: the application is never pickled, nor are the secrets in its environment."""
        return create_app(self.profile, self._open_state)

    async def _open_state(self) -> State:
        profile, env = self.profile, environment.read()
        pool = await composition.open_pool(profile, env)
        providers = Providers(profile, env, self.llm)
        redis = composition.open_redis(profile, env)
        chat_models, watching = await composition.chat_models(providers, pool, redis)
        state = State(
            profile=profile,
            environment=env,
            pool=pool,
            redis=redis,
            embedder=self.embedder,
            reranker=self.reranker,
            retriever=composition.retriever(profile, env, pool, self.embedder, self.reranker),
            assistant=self.assistant,
            chat_models=chat_models,
            triager=self.triager,
            embedding_tokens=counter_for(env.models / profile.embedder.model),
            open_provider=providers.open,
            background=watching,
        )
        state.background += [asyncio.create_task(each.run()) for each in (state.usage, state.budgets)]
        return state
