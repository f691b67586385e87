"""Serves answers: retrieval, prompt, LLM chain and citations, one stream an answer."""

from collections.abc import AsyncIterator

from ray import serve
from ray.serve.handle import DeploymentHandle

from config import environment
from config.profile import Profile
from deployments import composition, observation
from deployments.providers import Providers, tokenizer_folder
from deployments.remote import RemoteEmbedder, RemoteReranker
from deployments.tracing import continued
from models.agents.answering import Answerer, Settings
from models.agents.protocol import Event, Question
from models.prompts.tokens import counter_for


@serve.deployment(max_ongoing_requests=32, max_queued_requests=64)
class Assistant:
    async def __init__(
        self,
        profile: Profile,
        *,
        embedder: DeploymentHandle,
        reranker: DeploymentHandle,
        llm: DeploymentHandle | None,
    ) -> None:
        observation.set_up()
        env = environment.read()
        near = RemoteEmbedder(embedder, name=profile.embedder.model, dimensions=profile.embedder.dimensions)
        judge = RemoteReranker(reranker, name=profile.reranker.name)
        pool = await composition.open_pool(profile, env)
        redis = composition.open_redis(profile, env)
        chat_models, self.watching = await composition.chat_models(Providers(profile, env, llm), pool, redis)
        self.answerer = Answerer(
            retriever=composition.retriever(profile, env, pool, near, judge),
            embedder=near,
            chat_models=chat_models,
            counter=counter_for(tokenizer_folder(profile, env)),
            settings=Settings(
                prompt_tokens=profile.assistant.prompt_tokens,
                answer_tokens=profile.llm.max_answer_tokens,
                passages=profile.assistant.passages,
            ),
        )

    @continued
    async def answer(self, question: Question) -> AsyncIterator[Event]:
        async for event in self.answerer.answer(question):
            yield event
