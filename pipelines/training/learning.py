"""From examples to a triage model, in memory: what training, retraining and evaluation share."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from config.environment import Environment
from config.profile import EmbedderSettings
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel, main_directions, queue_shares
from models.triage.fitting import Examples, fit
from models.triage.judge import Judge
from models.triage.protocol import PRIORITIES, SENTIMENTS
from models.triage.rules import Rules
from models.triage.teaching import teach
from models.triage.text import Ticket
from pipelines.training.embedding import embed
from pipelines.training.examples import Example, fingerprint

Summary: TypeAlias = dict[str, JsonValue]
"""What a training prints and writes as JSON."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Tickets of which people said something, but neither intent nor queue."""

    examples: Sequence[Example]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Learner:
    """`learn` takes examples oldest first; `embed` uses Ray Data where `on_ray` and it is worth it."""

    here: Environment
    settings: EmbedderSettings
    console: Console
    on_ray: bool = False

    def embed(self, examples: Sequence[Example]) -> Vectors:
        texts = [each.ticket.text for each in examples]
        return embed(texts, self.settings, self.here, console=self.console, on_ray=self.on_ray)

    def learn(
        self, examples: Sequence[Example], vectors: Vectors, aside: Aside | None = None
    ) -> tuple[TriageModel, dict[str, float]]:
        """A model of these examples, and its figures on those held out.

        From what stands `aside` only priorities and sentiments are learnt: nobody said its intent or queue.
        """
        labels = [each.label for each in examples]
        texts = [each.ticket.text for each in examples]
        tickets = [each.ticket_id for each in examples]
        fitted = fit(Examples(texts, vectors, np.array(labels), self._names(labels), tickets))
        queues, queue_of = queue_shares(labels, [each.queue for each in examples], fitted.classifier.labels)
        model = TriageModel(
            version=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{fingerprint(examples)[:8]}",
            embedder=self.settings.model,
            classifier=fitted.classifier,
            queues=queues,
            queue_of=queue_of,
            directions=main_directions(vectors),
            **_judges(examples, vectors, aside),
        )
        return model, fitted.figures

    def _names(self, labels: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        known = sorted(set(labels))
        vectors = self.embed([Example(Ticket("", in_words(label)), label) for label in known])
        return dict(zip(known, vectors, strict=True))


def in_words(label: str) -> str:
    """`two_factor_lockout` as people would write it."""
    return " ".join(re.findall(r"[^\W_]+", label)) or label


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    """How many examples there are of each label: what a version can be said to know."""
    return dict(Counter(each.label for each in examples))


def _judges(examples: Sequence[Example], vectors: Vectors, aside: Aside | None) -> dict[str, Judge]:
    rules = Rules.load()
    every = [*examples, *(aside.examples if aside else ())]
    seen = np.concatenate([vectors, aside.vectors]) if aside and aside.examples else vectors
    judges = {}
    for kind, names in (("priority", PRIORITIES), ("sentiment", SENTIMENTS)):
        at = [i for i, each in enumerate(every) if getattr(each, kind)]
        verdicts = [getattr(rules.judge(every[i].ticket.text), kind) for i in at]
        judges[kind] = teach(names, verdicts, [getattr(every[i], kind) for i in at], seen[at])
    return judges
