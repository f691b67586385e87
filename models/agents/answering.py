"""Answers a question from the knowledge base: search, prompt, stream, cite; or says that it does not know.

One LLM call an answer. Nothing here raises once `meta` was said: whatever fails, the customer gets the best
there is and an offer to open a ticket.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from models.agents.attribution import credited
from models.agents.protocol import Event, Outcome, Question
from models.embedding.protocol import Embedder
from models.llm.errors import NoProviderLeft
from models.llm.protocol import Call, ChatModels
from models.prompts import answer as prompt
from models.prompts.tokens import TokenCounter
from models.retrieval.passages import Passage, Retrieval
from models.retrieval.protocol import PassageRetriever
from monitoring import metrics

NOT_FOUND = (
    "I could not find an answer to this in the knowledge base. "
    "Would you like to open a ticket, so that a person can look at it?"
)
NO_MODEL = "I cannot write an answer at the moment. These passages are the closest I found:"
CUT_OFF = "The model stopped in the middle of the answer; ask again."
FILTERED = "A filter of the model's provider stopped the answer; ask in other words."
OFFER = "If they do not help, open a ticket and a person will look at it."
FOLLOW_UP_WORDS = 8


@dataclass(frozen=True, slots=True)
class Settings:
    prompt_tokens: int
    answer_tokens: int
    passages: int = 3
    closeness: float = 0.5
    """Cosine from which a sentence counts as resting on a passage."""


@dataclass(slots=True)
class _Answer:
    """What one answer came to, for `done` and for the record."""

    text: str = ""
    outcome: Outcome = "answered"
    used: Sequence[Passage] = ()
    call: Call | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)


class Answerer:
    """Implements `Assistant`."""

    def __init__(
        self,
        *,
        retriever: PassageRetriever,
        embedder: Embedder,
        chat_models: ChatModels,
        counter: TokenCounter,
        settings: Settings,
    ) -> None:
        self._retriever = retriever
        self._embedder = embedder
        self._chat_models = chat_models
        self._counter = counter
        self._settings = settings

    async def answer(self, question: Question) -> AsyncIterator[Event]:
        started = time.monotonic()
        found = await self._retriever.retrieve(
            search_text(question.content, [t.content for t in question.history if t.role == "user"]),
            filters=question.filters,
            top_k=self._settings.passages,
        )
        result = _Answer(latency_ms={f"retrieval_{k}": v for k, v in found.latency_ms.items()})
        yield Event("meta", self._meta(question, found))
        if not found.found:
            result.outcome, result.text = "abstained", NOT_FOUND
            yield Event("delta", {"text": NOT_FOUND})
            yield Event("handoff", {"reason": "not_found", "offer": "ticket"})
        else:
            async for event in self._write(question, found, result, started):
                yield event
            if result.outcome != "interrupted":
                async for event in self._cite(result, found):
                    yield event
        result.latency_ms["total"] = _ms_since(started)
        _count(result.outcome)
        yield Event("done", self._done(question, result))

    async def _write(
        self, question: Question, found: Retrieval, result: _Answer, started: float
    ) -> AsyncIterator[Event]:
        packed = prompt.pack(
            question.content,
            found.passages,
            question.history,
            budget=self._settings.prompt_tokens,
            counter=self._counter,
        )
        result.used = packed.passages
        result.call = self._chat_models.start(
            self._request(question, packed), may_restart=question.may_restart
        )
        try:
            async with aclosing(cast(Any, aiter(result.call))) as chunks:
                async for chunk in chunks:
                    if chunk.restart:
                        result.text = ""
                        yield Event("restart", {"reason": "provider_failed"})
                    elif chunk.text:
                        if not result.text:
                            result.latency_ms["first_token"] = _ms_since(started)
                        result.text += chunk.text
                        yield Event("delta", {"text": chunk.text})
                    if chunk.finish_reason == "content_filter":  # nothing else was allowed to follow it
                        result.outcome = "interrupted"
                        yield Event("error", {"reason": "content_filter", "detail": FILTERED})
                        return
        except NoProviderLeft as error:
            if error.after_text and not question.may_restart:
                result.outcome = "interrupted"
                yield Event("error", {"reason": error.last.reason, "detail": CUT_OFF})
                return
            if error.after_text:
                yield Event("restart", {"reason": "provider_failed"})
            result.text = ""
        if not result.text.strip():  # no provider was left, or the model had nothing to say
            result.outcome, result.text = "degraded", _passages_instead(found.passages)
            yield Event("delta", {"text": result.text})
            yield Event("handoff", {"reason": "no_model", "offer": "ticket"})

    def _request(self, question: Question, packed: prompt.Packed) -> dict[str, Any]:
        limit = self._settings.answer_tokens
        return {
            "model": question.model or self._chat_models.default,
            "messages": packed.messages,
            "max_tokens": min(question.max_tokens or limit, limit),
            "temperature": 0.0,
        }

    async def _cite(self, result: _Answer, found: Retrieval) -> AsyncIterator[Event]:
        if result.outcome == "degraded":
            cited: Sequence[Passage] = found.passages
        else:
            started = time.monotonic()
            try:
                cited = await credited(
                    result.text, result.used, self._embedder, closeness=self._settings.closeness
                )
            except (
                Exception
            ):  # the answer stands without it: the passages it was written from are its sources
                cited = result.used
            result.latency_ms["attribution"] = _ms_since(started)
        for passage in cited:
            yield Event("citation", citation(passage))

    def _meta(self, question: Question, found: Retrieval) -> dict[str, Any]:
        return {
            "model": question.model or self._chat_models.default,
            "sources": [citation(passage) | {"score": passage.score} for passage in found.passages]
            if found.found
            else [],
            "relevance": round(found.relevance, 4),
            "degraded": list(found.degraded),
        }

    def _done(self, question: Question, result: _Answer) -> dict[str, Any]:
        usage = asdict(result.call.usage) if result.call else {"prompt_tokens": 0, "completion_tokens": 0}
        attempts = [asdict(attempt) for attempt in result.call.attempts] if result.call else []
        return {
            "outcome": result.outcome,
            "usage": usage,
            "cost_usd": result.call.cost_usd if result.call else 0.0,
            "usage_estimated": result.call.estimated if result.call else False,
            "latency_ms": result.latency_ms,
            "prompt_version": prompt.VERSION,
            "attempts": attempts,
            "passages": [{"chunk_id": p.chunk_id, "score": p.score} for p in result.used],
        }


def _count(outcome: Outcome) -> None:
    metrics.ANSWERS.add(outcome=outcome)
    if outcome == "abstained":
        metrics.ANSWERS_ABSTAINED.add()


def citation(passage: Passage) -> dict[str, Any]:
    """A passage as it is cited on the wire."""
    return {
        "article_id": passage.article_id,
        "title": passage.title,
        "section": passage.section,
        "url": passage.url,
        "chunk_id": passage.chunk_id,
    }


def search_text(asked: str, earlier: Sequence[str]) -> str:
    """A short follow-up ("and on Linux?") is searched together with the question it follows."""
    return f"{earlier[-1]}\n{asked}" if earlier and len(asked.split()) <= FOLLOW_UP_WORDS else asked


def _passages_instead(passages: Sequence[Passage]) -> str:
    quoted = "\n\n".join(f"**{p.title}**: {p.text}" for p in passages)
    return f"{NO_MODEL}\n\n{quoted}\n\n{OFFER}"


def _ms_since(started: float) -> float:
    return round(1000 * (time.monotonic() - started), 1)
