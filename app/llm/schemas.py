"""OpenAI's wire under /v1, as far as it is checked here; other fields go to the provider as they are."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ASSISTANT = "eservice-assistant"

Text = Annotated[str, Field(max_length=20_000)]


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The text of the message, its text parts joined."""
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class ChatCompletionIn(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    n: Literal[1] = 1

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return bool((self.stream_options or {}).get("include_usage"))


class EmbeddingsIn(BaseModel):
    model: str = Field(max_length=200)
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class RerankDocument(BaseModel):
    text: Text


class RerankIn(BaseModel):
    model: str = Field(max_length=200)
    query: str = Field(min_length=1, max_length=8000)
    documents: list[Text | RerankDocument] = Field(min_length=1, max_length=200)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = False

    @property
    def texts(self) -> list[str]:
        return [item if isinstance(item, str) else item.text for item in self.documents]


class RerankResult(BaseModel):
    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankOut(BaseModel):
    id: str
    model: str
    results: list[RerankResult]


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "eservice"
    task: Literal["chat", "embedding", "rerank"]


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]
