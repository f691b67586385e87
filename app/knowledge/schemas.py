"""What the knowledge endpoints take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from config.profile import Precision
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
    index: str = Field("", description="the index version that answered")
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


Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Body = Annotated[str, StringConstraints(min_length=1, max_length=500_000, pattern=r"\S")]
Visibility = Literal["public", "customers", "agents", "teams"]
TeamNames = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]], Field(max_length=50)
]


class ArticleDraft(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slug: Slug
    title: Title
    body: Body = Field(description="Markdown")
    summary: str = Field("", max_length=2_000)
    url: str | None = Field(None, max_length=2_000)
    products: Tags = []
    topics: Tags = []
    language: str = Field("en", pattern=r"^[a-z]{2,3}$")
    visibility: Visibility = "public"
    teams: TeamNames = Field([], description="who may read it where visibility is `teams`")


class ArticlePatch(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    title: Title = ""
    body: Body = ""
    summary: str = Field("", max_length=2_000)
    url: str | None = Field(None, max_length=2_000)
    products: Tags = []
    topics: Tags = []
    language: str = Field("en", pattern=r"^[a-z]{2,3}$")
    visibility: Visibility = "public"
    teams: TeamNames = []


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


class IndexDraft(BaseModel):
    """How the new version is made; what is left out is as the profile has it."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="a prepared embedding model"
    )
    precision: Precision | None = None
    dimensions: int | None = Field(None, ge=8, le=4096)
    max_tokens: int | None = Field(None, ge=16, le=8192, description="longer chunks are cut")
    chunk_tokens: int | None = Field(None, ge=32, le=2048)
    chunk_overlap_sentences: int | None = Field(None, ge=0, le=10)


class Promotion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    force: bool = Field(False, description="also where the gate refused it")


class RerankerVersion(BaseModel):
    """A cross-encoder that was trained on solved cases."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    artefact: str = Field(description="its place below the URL that artefacts lie under")
    weight: float = Field(description="what a deviation of its scores lifts a passage by, in deviations")
    max_tokens: int
    figures: dict[str, Any]
    won: bool = Field(description="whether it was better than none on the newest cases")
    active: bool
    promoted_at: datetime | None
    created_at: datetime


class Rerankers(BaseModel):
    items: list[RerankerVersion]
    next_cursor: None = None


class RerankerPromotion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    without_proof: bool = Field(False, description="also where it has not won")


class GateQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]
    articles: list[UUID] = Field(min_length=1, max_length=50)


class GateQuestions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[GateQuestion] = Field(max_length=5_000)


class UploadProblem(BaseModel):
    where: str
    reason: str


class Upload(BaseModel):
    """`indexing` until all its articles can be found, then `ready`; `failed` where nothing could be read."""

    id: UUID
    filename: str
    size: int = Field(description="bytes")
    status: Literal["queued", "indexing", "ready", "failed"]
    visibility: Visibility
    teams: list[str]
    articles: int
    problems: list[UploadProblem] = Field(description="what of it could not be read, and why")
    created_at: datetime
    finished_at: datetime | None


class Uploads(BaseModel):
    items: list[Upload]
    next_cursor: UUID | None = None
