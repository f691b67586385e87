"""Retrieval through whichever index version answers at the moment; a question is answered by one of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from models.retrieval.passages import Filters, Retrieval
from models.retrieval.retriever import Retriever
from models.retrieval.store import VectorStore

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.4
"""A promotion or a roll-back is taken up within this and one query of PostgreSQL."""


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """Which collection answers, and what its vectors are made with (`OnnxEmbedder.version`)."""

    name: str
    embedder: str
    dimensions: int


class LiveRetriever:
    """Implements `PassageRetriever`. A new version is opened and tried before it takes over from the last."""

    def __init__(
        self,
        first: IndexVersion,
        *,
        look: Callable[[], Awaitable[IndexVersion | None]],
        open_version: Callable[[IndexVersion], Retriever],
    ) -> None:
        """`first` answers until `look` has said which one does; it stays where there is none yet."""
        self._look_up = look
        self._open_version = open_version
        self._live = first
        self._open = {first: open_version(first)}
        self._watch: asyncio.Task[None] | None = None

    @property
    def store(self) -> VectorStore:
        return self._open[self._live].store

    async def retrieve(
        self,
        query: str,
        *,
        filters: Filters | Awaitable[Filters],
        top_k: int | None = None,
        rerank: bool = True,
        without_cases: Collection[str] = (),
    ) -> Retrieval:
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_looking())
            await self.look()
        live = self._live
        found = await self._open[live].retrieve(
            query, filters=filters, top_k=top_k, rerank=rerank, without_cases=without_cases
        )
        return replace(found, index=live.name)

    async def look(self) -> None:
        """Take up the version that answers now; what cannot be used leaves the last one in place."""
        try:
            wanted = await self._look_up()
            if wanted is None or wanted == self._live:
                return
            if wanted not in self._open:
                opened = self._open_version(wanted)
                await opened.embedder.embed(["Is the model there?"])
                await opened.store.ping()
                self._open[wanted] = opened
        except Exception as error:  # PostgreSQL away, a model that is not on this machine: go on as before
            log.warning("staying with index %s: %s", self._live.name, error or type(error).__name__)
            return
        before, self._live = self._live, wanted
        log.info("index %s answers instead of %s", wanted.name, before.name)
        for old in [each for each in self._open if each not in {before, wanted}]:
            await self._open.pop(old).close()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def close(self) -> None:
        if self._watch:
            self._watch.cancel()
        for each in self._open.values():
            await each.close()
