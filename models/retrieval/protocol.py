"""What finds passages for a question, whichever index answers."""

from collections.abc import Awaitable, Collection
from typing import Protocol

from models.retrieval.passages import Filters, Retrieval
from models.retrieval.store import VectorStore


class PassageRetriever(Protocol):
    @property
    def store(self) -> VectorStore: ...

    async def retrieve(
        self,
        query: str,
        *,
        filters: Filters | Awaitable[Filters],
        top_k: int | None = None,
        rerank: bool = True,
        without_cases: Collection[str] = (),
    ) -> Retrieval:
        """The best `top_k` passages that `filters` let through; cases in `without_cases` do not vote."""
        ...

    async def close(self) -> None: ...
