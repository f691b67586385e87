"""What retrieval gives back."""

from dataclasses import dataclass, field


def embedded(title: str, section: str, text: str) -> str:
    """A chunk as it is embedded: title and headings say what the text alone may not."""
    return "\n".join(filter(None, (title, section, text)))


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of an article, with what is needed to cite it."""

    chunk_id: str
    article_id: str
    slug: str
    title: str
    section: str
    url: str | None
    text: str
    tokens: int
    score: float = 0.0

    @property
    def embedded(self) -> str:
        """What the embedder, BM25 and the reranker read of it."""
        return embedded(self.title, self.section, self.text)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which articles may be found. Empty means any; but whoever has no audience may see nothing.

    `audiences` are the reader's: what has one of them is for them. See `Document.audiences`.
    """

    audiences: frozenset[str] = frozenset({"public"})
    products: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    articles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PastCase:
    """A solved case near a question: the cosine of the two questions, and the articles that solved it."""

    case_id: str
    similarity: float
    articles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Passages, best first, and how they were found.

    `relevance` is the best cosine between query and passage, in [-1, 1]; `found` says whether it is enough
    to answer from. `degraded` names what was down or too slow; `latency_ms` is per stage.
    `cases` are the solved cases that voted, nearest first.
    """

    passages: tuple[Passage, ...]
    relevance: float
    found: bool
    degraded: tuple[str, ...] = ()
    index: str = ""
    """The version that answered."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    cases: tuple[PastCase, ...] = ()
