"""A reranking model in this process, run beside the event loop on a thread of its own."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from models.reranking.protocol import Scores


class Model(Protocol):
    name: str

    def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores: ...


class LocalReranker:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reranker")

    @property
    def name(self) -> str:
        return self._model.name

    async def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._model.score, query, documents, signs)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
