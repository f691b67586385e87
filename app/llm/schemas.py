"""OpenAI's wire under /v1, as far as it is checked here; other fields go to the provider as they are."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

ASSISTANT = "eservice-assistant"

Text = Annotated[str, Field(max_length=20_000)]


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a message of role 'tool' needs the tool_call_id it answers")
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is missing; only an assistant message with tool_calls may do without")
        return self

    @property
    def text(self) -> str:
        """The text of the message, its text parts joined."""
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class Function(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Tool(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: Function


class JsonSchema(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class ResponseFormat(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self


class ChatCompletionIn(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    n: Literal[1] | None = 1
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | Tool | None = None
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        if self.tool_choice is not None and not self.tools:
            raise ValueError("tool_choice is only allowed when tools are given")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed when logprobs is true")
        if isinstance(self.tool_choice, Tool) and self.tool_choice.function.name not in self._tool_names():
            raise ValueError("tool_choice names a function that is not among the tools")
        return self

    def _tool_names(self) -> set[str]:
        return {tool.function.name for tool in self.tools or ()}

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return bool((self.stream_options or {}).get("include_usage"))

    @property
    def wants_plain_text(self) -> bool:
        return not self.tools and (self.response_format is None or self.response_format.type == "text")


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


class KeptAnswer(BaseModel):
    """An answer of the assistant as it was made, and what its reader thought of it."""

    id: UUID
    message_id: UUID | None
    user_id: UUID | None
    question: str
    answer: str
    outcome: str
    model: str
    provider: str
    prompt_version: str
    passages: list[dict[str, Any]] = Field(description="what it was written from, with scores")
    attempts: list[dict[str, Any]] = Field(description="every provider asked, with tokens, times and cost")
    latency_ms: dict[str, float] = Field(description="by stage")
    prompt_tokens: int
    completion_tokens: int
    usage_estimated: bool
    cost_usd: float
    helpful: bool | None
    comment: str | None = None
    created_at: datetime
