"""The application: which deployments there are and which holds a handle to which.

Shapes (replicas, resources, queues) stand in `serve_config.yaml`, behaviour in the profile.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from ray.serve import Application

from config import environment
from config.profile import load
from deployments import llm as llm_deployment
from deployments.assistant import Assistant
from deployments.embedder import Embedder
from deployments.gateway import Gateway
from deployments.reranker import Reranker
from deployments.triage import Triage
from deployments.worker import Worker


class AppArgs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile: Literal["local", "test", "prod", "gpu", "bench"] = "local"


def build(args: AppArgs) -> Application:
    profile = load(args.profile)
    engine = profile.llm.engine
    llm = llm_deployment.build(engine, environment.read()) if engine else None
    embedder = Embedder.bind(profile.embedder)
    reranker = Reranker.bind(profile)
    triage = Triage.bind(profile, embedder=embedder)
    return Gateway.bind(
        profile,
        embedder=embedder,
        reranker=reranker,
        assistant=Assistant.bind(profile, embedder=embedder, reranker=reranker, llm=llm),
        triage=triage,
        llm=llm,
        worker=Worker.bind(profile, triage=triage, embedder=embedder, llm=llm),
    )
