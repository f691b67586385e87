"""What finds passages for a question, whichever index answers."""

from typing import Protocol

from models.retrieval.passages import Filters, Retrieval
from models.retrieval.store import VectorStore


class PassageRetriever(Protocol):
    @property
    def store(self) -> VectorStore: ...

    async def retrieve(
        self, query: str, *, filters: Filters, top_k: int | None = None, rerank: bool = True
    ) -> Retrieval:
        """The best `top_k` passages that `filters` let through."""
        ...

    async def close(self) -> None: ...
