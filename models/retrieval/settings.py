"""How a retriever is set up."""

from dataclasses import dataclass

from models.retrieval.candidates import Weights
from models.retrieval.voters import Voting


@dataclass(frozen=True, slots=True)
class RetrieverSettings:
    """The fields and meanings of `config.profile.RetrievalSettings`."""

    collection: str = "passages"
    candidates: int = 100
    dense_weight: float = 0.8
    coverage_weight: float = 0.3
    article_support: float = 0.5
    first_line_weight: float = 0.7
    case_neighbours: int = 100
    case_width: float = 0.12
    case_doubt: float = 20.0
    case_weight: float = 5.0
    case_ridge_weight: float = 5.0
    case_affinity_weight: float = 1.0
    rerank: bool = True
    rerank_depth: int = 24
    rerank_weight: float = 0.2
    top_k: int = 5
    per_article: int = 2
    min_relevance: float = 0.3
    timeout_s: float = 5.0
    chunk_tokens: int = 180
    chunk_overlap_sentences: int = 1
    signs_of: str = ""
    """The model whose tokens' signs the reranker knows passages by; without, it reads their texts."""

    @property
    def weights(self) -> Weights:
        return Weights(self.dense_weight, self.coverage_weight, self.article_support)

    @property
    def case_weights(self) -> dict[str, float]:
        return {"wide": self.case_weight, "ridge": self.case_ridge_weight}

    @property
    def voting(self) -> Voting:
        return Voting(
            self.case_neighbours,
            self.case_width,
            self.case_doubt,
            self.case_weights,
            self.case_affinity_weight,
        )
