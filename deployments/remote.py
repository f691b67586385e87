"""Deployment handles behind the protocols of `models`: what the application calls does not know of Ray.

Errors come back as their cause. A full queue, a dead replica and a missed deadline are errors the caller can
answer with: `Unavailable` for the desk, `ProviderError` for a chain of models.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from app.errors import Overloaded, Unavailable
from deployments.tracing import sent
from models.agents.protocol import Event, Question
from models.embedding.protocol import Vectors
from models.llm import sse
from models.llm.errors import ProviderError
from models.llm.protocol import ChatRequest, Chunk
from models.reranking.protocol import Scores
from models.triage.protocol import Triage

T = TypeVar("T")

DEADLINE_S = 10.0
HEALTH_DEADLINE_S = 1.0
EVENT_DEADLINE_S = 75.0
"""Of an answer's next event: a chain of models may try for a minute before it has any text."""
TEXTS_A_CALL = 16
"""Long lists are split, so that they spread over replicas and leave room for a lone query between them."""


@contextmanager
def causes() -> Iterator[None]:
    """Errors of the far side as what caused them there, Ray's own as `Unavailable`."""
    try:
        yield
    except BackPressureError as error:
        raise Overloaded from error
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else Unavailable()) from error
    except (RayActorError, DeploymentUnavailableError, TimeoutError) as error:
        raise Unavailable from error


async def within(response: Awaitable[T], deadline_s: float = DEADLINE_S) -> T:
    with causes():
        async with asyncio.timeout(deadline_s):
            return await response


class RemoteEmbedder:
    """Implements `Embedder`."""

    def __init__(self, handle: DeploymentHandle, *, name: str, dimensions: int, version: str = "") -> None:
        """`version` is that of an index (`name:precision:max_tokens`); by default the profile's model."""
        self._handle = handle
        self._version = version
        self.name = name
        self.dimensions = dimensions

    def of(self, version: str, dimensions: int) -> "RemoteEmbedder":
        """The embedder that an index was made with, in the same deployment."""
        return RemoteEmbedder(
            self._handle, name=version.partition(":")[0], dimensions=dimensions, version=version
        )

    async def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = await asyncio.gather(*(self._part(part, fading=False) for part in _parts(texts)))
        return np.concatenate(vectors) if vectors else np.empty((0, self.dimensions), np.float32)

    async def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        read = await asyncio.gather(
            *(within(self._handle.read.remote(part, self._version, sent=sent())) for part in _parts(texts))
        )
        vectors = [np.empty((0, self.dimensions), np.float32), *(vectors for vectors, _ in read)]
        return np.concatenate(vectors), [each for _, signs in read for each in signs]

    async def embed_fading(self, texts: Sequence[str]) -> Vectors:
        vectors = await asyncio.gather(*(self._part(part, fading=True) for part in _parts(texts)))
        return np.concatenate(vectors) if vectors else np.empty((0, 2, self.dimensions), np.float32)

    async def _part(self, texts: list[str], *, fading: bool) -> Vectors:
        return await within(self._handle.embed.remote(texts, self._version, fading, sent=sent()))


def _parts(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[i : i + TEXTS_A_CALL]) for i in range(0, len(texts), TEXTS_A_CALL)]


class RemoteReranker:
    """Implements `Reranker`."""

    def __init__(self, handle: DeploymentHandle, *, name: str) -> None:
        self._handle = handle
        self.name = name

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        return await within(self._handle.score.remote(query, list(documents), list(signs), sent=sent()))


class RemoteTriager:
    """Implements `Triager`."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def triage(self, subject: str, body: str) -> Triage:
        return await within(self._handle.triage.remote(subject, body, sent=sent()))


async def _next(events: AsyncIterator[Event]) -> Event | None:
    """`None` at the end."""
    async with asyncio.timeout(EVENT_DEADLINE_S):
        return await anext(events, None)


class RemoteAssistant:
    """Implements `Assistant`. Leaving the iteration cancels the answer on its replica, and its LLM call."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle.options(stream=True)

    async def answer(self, question: Question) -> AsyncIterator[Event]:
        with causes():
            stream = self._handle.answer.remote(question, sent=sent())
            events = aiter(stream)
            try:
                while (event := await _next(events)) is not None:
                    yield event
            finally:
                stream.cancel()


class SelfHosted:
    """Implements `ChatProvider` over the LLM deployment."""

    def __init__(self, handle: DeploymentHandle, *, name: str, model: str) -> None:
        self.name = name
        self._model = model
        self._stream = handle.options(stream=True)
        self._plain = handle

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        body = {**request, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        response = self._stream.stream_json.remote(json.dumps(body), sent=sent())
        try:
            async for chunk in sse.chunks(_events(response)):
                yield chunk
        except BackPressureError as error:
            raise ProviderError("busy", "the LLM's queue is full") from error
        except (RayActorError, DeploymentUnavailableError) as error:
            raise ProviderError("connect", "no LLM replica is up") from error
        except ProviderError:
            raise
        except Exception as error:  # over gRPC an engine's death arrives as any error at all
            raise ProviderError("broken", f"the LLM replica failed: {type(error).__name__}") from error
        finally:
            response.cancel()

    async def is_up(self) -> bool:
        try:
            await within(self._plain.check_health.remote(), HEALTH_DEADLINE_S)
        except Exception:  # whatever is wrong with it, it is not up
            return False
        return True

    async def close(self) -> None:
        """The handle is Serve's."""


async def _events(response: Any) -> AsyncIterator[str]:
    async for part in response:
        for event in part.split("\n\n"):
            if event:
                yield event
