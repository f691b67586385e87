"""Triage as learnt from past tickets: intent and queue by the model, the rest by rules."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models.embedding.protocol import Embedder, Vectors
from models.triage.artefact import ArtefactError, Prediction, TriageModel
from models.triage.language import Languages
from models.triage.protocol import Triage
from models.triage.rules import Rules
from models.triage.text import Ticket


class LearntTriager:
    """Implements `Triager`.

    With `abstain_below` above 0, a label less probable than that, or a text unlike all that was learnt, has
    neither intent nor queue: a person decides. At 0 the best label always counts.
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
        known = self._believes(prediction)
        return Triage(
            intent=prediction.candidates[0] if known else None,
            queue=prediction.queue if known else None,
            priority=verdict.priority,
            language=language.language,
            sentiment=verdict.sentiment,
            reasons=(_reason(prediction, known), *verdict.reasons, language.reason),
            version=self.version,
            candidates=prediction.candidates,
            familiarity=prediction.confidence,
            projection=prediction.projection,
        )

    def _believes(self, prediction: Prediction) -> bool:
        if self._abstain_below <= 0:
            return True
        return prediction.known and prediction.candidates[0].probability >= self._abstain_below


def _reason(prediction: Prediction, known: bool) -> str:
    best = prediction.candidates[0]
    said = f"most like past tickets of intent {best.name} ({best.probability:.2f})"
    return said if known else f"{said}, but not enough: a person decides"
