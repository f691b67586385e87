"""What the profile says of retrieval: the vector store to open, and how the retriever is set up."""

from dataclasses import fields

from config.environment import Environment
from config.profile import Profile, RetrievalSettings
from models.retrieval.milvus import MilvusStore
from models.retrieval.pgvector import PgVectorStore
from models.retrieval.settings import RetrieverSettings
from models.retrieval.store import VectorStore


def open_store(
    settings: RetrievalSettings, environment: Environment, collection: str | None = None
) -> VectorStore:
    """The store's `collection`, the profile's where none is named. It connects at its first call."""
    name = collection or settings.collection
    if settings.store == "pgvector":
        return PgVectorStore(environment.require_database_url(), name, timeout_s=settings.timeout_s)
    return MilvusStore(environment.require_milvus_uri(), name, timeout_s=settings.timeout_s)


def retriever_settings(profile: Profile) -> RetrieverSettings:
    named = {field.name for field in fields(RetrieverSettings)} - {"signs_of"}
    return RetrieverSettings(
        **{name: getattr(profile.retrieval, name) for name in named}, signs_of=profile.signs_of
    )
