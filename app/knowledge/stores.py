"""Opens the vector store that the profile names."""

from config.environment import Environment
from config.profile import RetrievalSettings
from models.retrieval.milvus import MilvusStore
from models.retrieval.pgvector import PgVectorStore
from models.retrieval.store import VectorStore


def open_store(
    settings: RetrievalSettings, environment: Environment, collection: str | None = None
) -> VectorStore:
    """The store's `collection`, the profile's where none is named. It connects at its first call."""
    name = collection or settings.collection
    if settings.store == "pgvector":
        return PgVectorStore(environment.require_database_url(), name, timeout_s=settings.timeout_s)
    return MilvusStore(environment.require_milvus_uri(), name, timeout_s=settings.timeout_s)
