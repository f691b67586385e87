"""From examples to a triage model, in memory: what training, retraining and evaluation share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from pydantic import JsonValue
from rich.console import Console

from config.environment import Environment
from config.profile import EmbedderSettings
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel, main_directions, queue_shares
from models.triage.fitting import Examples, fit
from pipelines.training.embedding import embed
from pipelines.training.examples import Example, fingerprint

Summary: TypeAlias = dict[str, JsonValue]
"""What a training prints and writes as JSON."""


@dataclass(frozen=True, slots=True)
class Learner:
    """`learn` takes examples oldest first."""

    here: Environment
    settings: EmbedderSettings
    console: Console

    def embed(self, examples: Sequence[Example]) -> Vectors:
        texts = [each.ticket.text for each in examples]
        return embed(texts, self.settings, self.here, console=self.console)

    def learn(self, examples: Sequence[Example], vectors: Vectors) -> tuple[TriageModel, dict[str, float]]:
        """A model of these examples, and its figures on those held out."""
        labels = [each.label for each in examples]
        fitted = fit(Examples([each.ticket.text for each in examples], vectors, np.array(labels)))
        queues, queue_of = queue_shares(labels, [each.queue for each in examples], fitted.classifier.labels)
        model = TriageModel(
            version=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{fingerprint(examples)[:8]}",
            embedder=self.settings.model,
            classifier=fitted.classifier,
            queues=queues,
            queue_of=queue_of,
            directions=main_directions(vectors),
        )
        return model, fitted.figures
