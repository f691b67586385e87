"""/v1: what OpenAI's clients call."""

import base64
import uuid
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from app import streaming
from app.auth.access import SignedIn
from app.errors import Invalid
from app.llm import completions, service
from app.llm.schemas import (
    ChatCompletionIn,
    EmbeddingsIn,
    ModelCard,
    ModelList,
    RerankDocument,
    RerankIn,
    RerankOut,
    RerankResult,
)
from app.state import Current

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post("/chat/completions", response_model=None)
async def chat_completions(body: ChatCompletionIn, who: SignedIn, state: Current) -> Response:
    """OpenAI's chat completions; `eservice-assistant` answers from the knowledge base, with `citations`."""
    pieces = await completions.pieces(state, who, body)
    if body.stream:
        return streaming.response(completions.stream(await streaming.primed(pieces), body))
    return JSONResponse(await completions.whole(pieces, body))


@router.get("/models")
async def models(who: SignedIn, state: Current) -> ModelList:
    return ModelList(data=service.models(state))


@router.get("/models/{model:path}")
async def model(model: str, who: SignedIn, state: Current) -> ModelCard:
    for card in service.models(state):
        if card.id == model:
            return card
    raise service.ModelNotFound


@router.post("/embeddings", response_model=None)
async def embeddings(body: EmbeddingsIn, who: SignedIn, state: Current) -> dict[str, Any]:
    """OpenAI's embeddings; unit vectors."""
    service.require(state, who, body.model, "embedding")
    if body.dimensions not in {None, state.embedder.dimensions}:
        raise Invalid(f"This model has {state.embedder.dimensions} dimensions.", param="dimensions")
    vectors = await state.embedder.embed(body.texts)
    tokens = sum(state.embedding_tokens.count(text) for text in body.texts)
    return {
        "object": "list",
        "model": body.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _encode(vector: np.ndarray[Any, np.dtype[np.float32]], encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]


@router.post("/rerank", response_model_exclude_none=True)
async def rerank(body: RerankIn, who: SignedIn, state: Current) -> RerankOut:
    """Documents in the order in which they answer the query, as vLLM, Jina and Cohere have it."""
    service.require(state, who, body.model, "rerank")
    scores = await state.reranker.score(body.query, body.texts)
    order = np.argsort(-scores, kind="stable")[: body.top_n or len(scores)]
    results = [
        RerankResult(
            index=int(index),
            relevance_score=float(scores[index]),
            document=RerankDocument(text=body.texts[index]) if body.return_documents else None,
        )
        for index in order
    ]
    return RerankOut(id=f"rerank-{uuid.uuid4().hex}", model=body.model, results=results)
