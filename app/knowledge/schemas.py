"""What the knowledge endpoints take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from models.retrieval.passages import Passage

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Tags = Annotated[list[Tag], Field(max_length=50)]


class SearchFilters(BaseModel):
    """Empty means any."""

    model_config = ConfigDict(extra="forbid")

    products: Tags = []
    topics: Tags = []
    languages: Tags = []


class SearchRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]
    top_k: int = Field(5, ge=1, le=50)
    filters: SearchFilters = SearchFilters()
    rerank: bool = Field(True, description="where the profile has a reranker at all")


class SearchResult(BaseModel):
    article_id: UUID
    title: str
    section: str
    text: str
    score: float = Field(description="higher is better; comparable within one answer only")
    url: str | None
    chunk_id: str

    @classmethod
    def of(cls, passage: Passage) -> "SearchResult":
        return cls(
            article_id=UUID(passage.article_id),
            title=passage.title,
            section=passage.section,
            text=passage.text,
            score=round(passage.score, 4),
            url=passage.url,
            chunk_id=passage.chunk_id,
        )


class SearchResponse(BaseModel):
    results: list[SearchResult]
    relevance: float = Field(
        description="best cosine of query and passage; 0 where nothing could be embedded"
    )
    found: bool = Field(description="whether the assistant would answer from these")
    degraded: list[str] = Field(description="what was down: `milvus`, `embedder`, `reranker`")
    latency_ms: dict[str, float]


class ArticleSummary(BaseModel):
    id: UUID
    slug: str
    source: str
    title: str
    summary: str
    url: str | None
    products: list[str]
    topics: list[str]
    language: str
    visibility: str
    teams: list[str] = []
    version: int
    created_at: datetime
    updated_at: datetime


class Article(ArticleSummary):
    body: str = Field(description="Markdown")


class Articles(BaseModel):
    items: list[ArticleSummary]
    next_cursor: UUID | None = None


class Index(BaseModel):
    name: str
    embedder: str
    dimensions: int
    chunker: str
    active: bool
    status: Literal["building", "ready", "refused", "live", "standby"]
    chunks: int
    gate: dict[str, Any] | None = Field(description="how it did against the index that answered then")
    error: str | None = Field(description="why its build stands still")
    promoted_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Indexes(BaseModel):
    items: list[Index]
    next_cursor: None = None
