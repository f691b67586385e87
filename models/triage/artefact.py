"""A trained triage model as files: numbers in `weights.npz`, all else in `model.json`. Never pickle."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Vectors
from models.triage.judge import Judge, untaught
from models.triage.linear import Classifier, Head, Known, Mix, Names
from models.triage.neighbours import Neighbours
from models.triage.network import Network
from models.triage.origins import Origins
from models.triage.protocol import PRIORITIES, SENTIMENTS, Label
from models.triage.words import Words

FORMAT, READABLE = 5, frozenset({3, 4, 5})
"""Format 3 has neither judges nor labels' names: its priorities and sentiments are what the rules say. Before
format 5 every neighbour's vote counted the same."""

HEADS = 5

CANDIDATES = 5
DIRECTIONS = 12
NETWORK = tuple(each.name for each in fields(Network))
ORIGINS = tuple(each.name for each in fields(Origins))


class ArtefactError(ValueError):
    """There is no usable triage artefact in this folder."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The likeliest labels, best first; `confidence` that it is any of them; `known` if that suffices."""

    candidates: tuple[Label, ...]
    queue: Label | None
    confidence: float
    known: bool
    projection: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TriageModel:
    """`queue_of` has shape (labels, queues): the share of each label's tickets in each queue."""

    version: str
    embedder: str
    classifier: Classifier
    queues: tuple[str, ...]
    queue_of: NDArray[np.float32]
    directions: NDArray[np.float32]
    """In which what it was learnt from differs most: shape (dimensions, few). Drift is watched in them."""

    priority: Judge = field(default_factory=lambda: untaught(PRIORITIES))
    sentiment: Judge = field(default_factory=lambda: untaught(SENTIMENTS))

    def predict(self, texts: Sequence[str], vectors: Vectors) -> list[Prediction]:
        """One prediction a text; `vectors` are the texts' own, from `embedder`."""
        if not texts:
            return []
        classifier = self.classifier
        logits = classifier.logits(texts, vectors)
        probabilities = classifier.probabilities(logits)
        confidence = classifier.confidence(logits)
        order = np.argsort(-probabilities, axis=1)[:, :CANDIDATES]
        return [
            Prediction(
                candidates=tuple(Label(classifier.labels[i], float(p[i])) for i in best),
                queue=self._queue(p),
                confidence=float(sure),
                known=bool(sure >= classifier.threshold),
                projection=tuple(round(float(x), 4) for x in place),
            )
            for p, best, sure, place in zip(
                probabilities, order, confidence, vectors @ self.directions, strict=True
            )
        ]

    def _queue(self, probabilities: NDArray[np.float32]) -> Label | None:
        if not self.queues:
            return None
        shares = probabilities @ self.queue_of
        best = int(shares.argmax())
        return Label(self.queues[best], min(float(shares[best]), 1.0))

    def save(self, folder: Path) -> None:
        """Write the artefact; the folder must not hold another one."""
        folder.mkdir(parents=True)
        c = self.classifier
        np.savez_compressed(
            folder / "weights.npz",
            vector_weight=c.vector_head.weight,
            vector_bias=c.vector_head.bias,
            word_weight=c.word_head.weight.astype(np.float16),
            word_bias=c.word_head.bias,
            idf=c.words.idf,
            neighbour_vectors=c.neighbours.vectors.astype(np.float16),
            neighbour_target=c.neighbours.target,
            neighbour_weights=c.neighbours.weights,
            **{f"network_{name}": getattr(c.network, name) for name in NETWORK},
            **{f"origin_{name}": getattr(c.origins, name) for name in ORIGINS},
            names=c.names.vectors,
            known=c.known.coefficients,
            queue_of=self.queue_of,
            directions=self.directions,
            **_arrays(self.priority, "priority"),
            **_arrays(self.sentiment, "sentiment"),
        )
        about = {
            "format": FORMAT,
            "version": self.version,
            "embedder": self.embedder,
            "labels": c.labels,
            "queues": self.queues,
            "mix": c.mix.weights,
            "known_intercept": c.known.intercept,
            "threshold": c.threshold,
            "word_count": c.words.word_count,
            "terms": c.words.terms,
            "priority": _about(self.priority),
            "sentiment": _about(self.sentiment),
        }
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")

    def without(self, tickets: Collection[UUID]) -> "TriageModel | None":
        """What is left where these tickets are forgotten; `None` where it remembers none of them."""
        classifier = self.classifier.without(tickets)
        return replace(self, classifier=classifier) if classifier else None

    @classmethod
    def load(cls, folder: Path) -> "TriageModel":
        try:
            about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            with np.load(folder / "weights.npz", allow_pickle=False) as file:
                weights = {name: file[name] for name in file.files}
        except (OSError, ValueError) as error:
            raise ArtefactError(f"no triage artefact can be read from {folder}: {error}") from error
        if about.get("format") not in READABLE:
            raise ArtefactError(
                f"{folder} has format {about.get('format')}, this code reads {FORMAT}: train again"
            )
        no_names = np.zeros((len(about["labels"]), len(weights["directions"])), dtype=np.float32)
        alike = np.ones(len(weights["neighbour_target"]), dtype=np.float16)
        classifier = Classifier(
            labels=tuple(about["labels"]),
            words=Words(about["terms"], weights["idf"], about["word_count"]),
            vector_head=Head(weights["vector_weight"], weights["vector_bias"]),
            word_head=Head(weights["word_weight"].astype(np.float32), weights["word_bias"]),
            neighbours=Neighbours(
                weights["neighbour_vectors"].astype(np.float32),
                weights["neighbour_target"],
                weights.get("neighbour_weights", alike),
                len(about["labels"]),
            ),
            network=Network(**{name: weights[f"network_{name}"] for name in NETWORK}),
            names=Names(weights.get("names", no_names)),
            mix=Mix((*about["mix"], 0.0)[:HEADS]),
            known=Known(weights["known"], about["known_intercept"]),
            threshold=about["threshold"],
            origins=_origins(weights, len(about["terms"])),
        )
        return cls(
            about["version"],
            about["embedder"],
            classifier,
            tuple(about["queues"]),
            weights["queue_of"],
            weights["directions"],
            _judge("priority", PRIORITIES, about, weights),
            _judge("sentiment", SENTIMENTS, about, weights),
        )


def _origins(weights: Mapping[str, NDArray[Any]], terms: int) -> Origins:
    if f"origin_{ORIGINS[0]}" not in weights:  # written before origins were kept
        return Origins.unknown(len(weights["neighbour_vectors"]), terms)
    return Origins(**{name: weights[f"origin_{name}"] for name in ORIGINS})


def _arrays(judge: Judge, name: str) -> dict[str, Any]:
    return {
        f"{name}_shares": judge.shares,
        f"{name}_weight": judge.head.weight,
        f"{name}_bias": judge.head.bias,
    }


def _about(judge: Judge) -> dict[str, float]:
    return {"weight": judge.weight, "examples": judge.examples}


def _judge(
    name: str, names: Sequence[str], about: Mapping[str, Any], weights: Mapping[str, NDArray[np.float32]]
) -> Judge:
    if name not in about:
        return untaught(names)
    head = Head(weights[f"{name}_weight"], weights[f"{name}_bias"])
    told = about[name]
    return Judge(tuple(names), weights[f"{name}_shares"], head, told["weight"], told["examples"])


def queue_shares(
    labels: Sequence[str], queues: Sequence[str | None], known: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Queue names, and for each of `known` labels the share of its tickets in each queue."""
    names = tuple(sorted({queue for queue in queues if queue}))
    counts = np.zeros((len(known), len(names)), dtype=np.float32)
    row = {label: i for i, label in enumerate(known)}
    for label, queue in zip(labels, queues, strict=True):
        if queue and label in row:
            counts[row[label], names.index(queue)] += 1
    return names, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def main_directions(vectors: Vectors) -> NDArray[np.float32]:
    """The first principal components of the vectors, at most `DIRECTIONS`; shape (dimensions, directions)."""
    sample = vectors[:: -(-len(vectors) // 4000)]
    _, _, rows = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)
    return np.ascontiguousarray(rows[:DIRECTIONS].T, dtype=np.float32)
