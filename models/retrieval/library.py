"""Where passages' texts and the corpus's statistics come from: the truth that the store points into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.retrieval.passages import Filters, Passage


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """How many chunks there are, and in how many of them each term occurs."""

    chunks: int
    chunks_with: Mapping[int, int]


class PassageLibrary(Protocol):
    async def fetch(self, chunk_ids: Sequence[str], filters: Filters) -> dict[str, Passage]:
        """The passages among `chunk_ids` that exist and that `filters` let through, by chunk id."""
        ...

    async def signs(self, chunk_ids: Sequence[str], model: str) -> dict[str, bytes]:
        """What `model` read of these chunks' tokens when they were indexed, by chunk id, where it did."""
        ...

    async def search_keywords(self, query: str, filters: Filters, limit: int) -> list[Passage]:
        """Passages that share words with `query`, best first: what is left when the vector store is down."""
        ...

    async def statistics(self, terms: Sequence[int]) -> CorpusStatistics:
        """The statistics of these terms as they are now."""
        ...
