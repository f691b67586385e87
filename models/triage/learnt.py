"""Triage as learnt from past tickets: intent and queue by the model, the rest by rules."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from models.embedding.protocol import Embedder, Vectors
from models.triage.artefact import ArtefactError, Prediction, TriageModel
from models.triage.judge import Judge
from models.triage.language import Languages
from models.triage.protocol import Label, Priority, Sentiment, Triage
from models.triage.rules import Rules
from models.triage.text import Ticket


class LearntTriager:
    """Implements `Triager`.

    An intent less probable than `abstain_below` is not known, and neither is a queue; nor is anything of a
    text unlike all that was learnt: a person decides. The queue can be known where the intent is not, as
    several intents go to one. At 0 the best label always counts.
    """

    def __init__(
        self,
        model: TriageModel,
        embedder: Embedder,
        *,
        abstain_below: float = 0.0,
        version: str | None = None,
    ) -> None:
        if embedder.name != model.embedder:
            raise ArtefactError(
                f"trained on vectors of {model.embedder}, but {embedder.name} is served: train again"
            )
        self.version = version or model.version
        self._model = model
        self._embedder = embedder
        self._abstain_below = abstain_below
        self._rules = Rules.load()
        self._languages = Languages()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="triage")

    @classmethod
    def load(
        cls, folder: Path | str, embedder: Embedder, *, abstain_below: float = 0.0, version: str | None = None
    ) -> "LearntTriager":
        """Read an artefact from disk; some tenths of a second, so not on an event loop."""
        return cls(TriageModel.load(Path(folder)), embedder, abstain_below=abstain_below, version=version)

    async def triage(self, subject: str, body: str) -> Triage:
        text = Ticket(subject, body).text
        vectors = await self._embedder.embed([text])
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._decide, text, vectors)

    def _decide(self, text: str, vectors: Vectors) -> Triage:
        (prediction,) = self._model.predict([text], vectors)
        verdict = self._rules.judge(text)
        language = self._languages.guess(text)
        intent, queue = self._known(prediction)
        priority = self._model.priority(verdict.priority, vectors[0])
        sentiment = self._model.sentiment(verdict.sentiment, vectors[0])
        return Triage(
            intent=intent,
            queue=queue,
            priority=cast(Priority, priority.name),
            language=language.language,
            sentiment=cast(Sentiment, sentiment.name),
            reasons=(
                _reason(prediction, intent, queue),
                _judged("priority", priority, verdict.priority, self._model.priority),
                *verdict.reasons[1:],
                _judged("sentiment", sentiment, verdict.sentiment, self._model.sentiment),
                language.reason,
            ),
            version=self.version,
            candidates=prediction.candidates,
            familiarity=prediction.confidence,
            priority_probability=priority.probability,
            sentiment_probability=sentiment.probability,
            projection=prediction.projection,
        )

    def _known(self, prediction: Prediction) -> tuple[Label | None, Label | None]:
        """Intent and queue, each where it is likely enough."""
        intent, queue, least = prediction.candidates[0], prediction.queue, self._abstain_below
        if least <= 0:
            return intent, queue
        if not prediction.known:
            return None, None
        return (
            intent if intent.probability >= least else None,
            queue if queue and queue.probability >= least else None,
        )


def _reason(prediction: Prediction, intent: Label | None, queue: Label | None) -> str:
    best = prediction.candidates[0]
    said = f"most like past tickets of intent {best.name} ({best.probability:.2f})"
    if intent is not None:
        return said
    if queue is not None:
        return f"{said}, but not enough; its queue is likely {queue.name} ({queue.probability:.2f})"
    return f"{said}, but not enough: a person decides"


def _judged(what: str, found: Label, verdict: str, judge: Judge) -> str:
    """How sure that is; what the rules had said stands in their own reasons."""
    basis = f"{judge.examples} labels of people" if judge.examples else "no labels of people yet"
    against = "" if found.name == verdict else f", where the rules say {verdict}"
    return f"{what} {found.name} ({found.probability:.2f}, from {basis}){against}"
