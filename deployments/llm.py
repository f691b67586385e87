"""The self-hosted LLM: `ray.serve.llm` with vLLM behind it, on a CPU or a GPU by the profile alone."""

import json
from collections.abc import AsyncIterator
from typing import Any

from ray.serve import Application
from ray.serve.llm import LLMConfig, LLMServer, build_llm_deployment

from config.environment import Environment
from config.profile import Engine
from deployments import observation
from deployments.tracing import continued

NAME = "LLM"


class Llm(LLMServer):
    """Takes requests as JSON, so that callers need not import vLLM to make one."""

    async def __init__(self, *args: Any, **kwargs: Any) -> None:
        observation.set_up()
        await super().__init__(*args, **kwargs)

    @continued
    async def stream_json(self, body: str) -> AsyncIterator[str]:
        """The answer to OpenAI's JSON `body` as server-sent events, in groups."""
        from ray.serve.llm.openai_api_models import ChatCompletionRequest

        try:
            request = ChatCompletionRequest.model_validate_json(body)
        except ValueError as error:
            yield _error(str(error)[:500], 400)
            return
        async for events in await self.chat(request):
            group = events if isinstance(events, list) else [events]
            yield "".join(e if isinstance(e, str) else _error(*_told(e)) for e in group)


def _told(response: object) -> tuple[str, int]:
    """vLLM's ErrorResponse as message and status."""
    error = getattr(response, "error", response)
    return str(getattr(error, "message", error)), int(getattr(error, "code", 500) or 500)


def _error(message: str, code: int) -> str:
    return f"data: {json.dumps({'error': {'message': message, 'code': code}})}\n\n"


def build(engine: Engine, environment: Environment) -> Application:
    """Needs Ray initialised: called within `build()`, never at import."""
    config = LLMConfig(
        model_loading_config={"model_id": engine.model_id, "model_source": source(engine, environment)},
        accelerator_type=engine.accelerator_type,
        accelerator_config={"kind": "cpu"} if engine.accelerator == "cpu" else None,
        placement_group_config={"bundles": [{"CPU": engine.num_cpus}]}
        if engine.accelerator == "cpu"
        else None,
        engine_kwargs=engine.engine_kwargs,
        runtime_env={"env_vars": engine.env_vars},
        experimental_configs={"stream_batching_interval_ms": 0},
    )
    options = {"name": NAME, "max_queued_requests": 64}
    return build_llm_deployment(config, deployment_cls=Llm, override_serve_options=options)


def source(engine: Engine, environment: Environment) -> str:
    """The model's folder, or its hub id."""
    kind, _, name = engine.source.partition(":")
    return str(environment.models / name) if kind == "prepared" else engine.source
