"""Learns again with what people corrected, and finds out on the newest corrections whether that is better.

The newest quarter of what was corrected since the active version was trained is held out: the newcomer learns
from the rest and is compared on it, ticket by ticket. What is registered has then learnt from everything.
"""

import time
from collections.abc import Sequence

import numpy as np

from app import db
from app.triage import service as versions
from app.triage.comparison import compare
from app.triage.schemas import Comparison, Corrected, Trained, Version
from models.artefacts import Artefacts
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from pipelines.training import examples as files
from pipelines.training import registry
from pipelines.training.examples import Example
from pipelines.training.learning import Aside, Learner, Summary, label_counts

LEAST_NEW = 10
"""Corrections since the active version was trained below which learning again is not worth it."""

SLICE, LEAST_SLICE = 0.25, 20


class NothingNew(RuntimeError):
    """There is nothing to learn that the active version does not know."""


async def retrain(dsn: str, artefacts: Artefacts, learner: Learner, *, promote: bool) -> Summary:
    """Register a version in the shadow of the active one; with `promote`, in its place if it won."""
    started = time.monotonic()
    async with registry.opened(dsn) as pool:
        async with db.transaction(pool) as conn:
            active, corrected = await versions.active(conn), await registry.corrected(conn)
            judged = await registry.judged(conn)
        if active is None:
            raise NothingNew("no version of triage is active: train one from a file first, with --train")
        new = [each for each, _ in corrected if each.updated_at > active.created_at]
        if len(new) < LEAST_NEW:
            raise NothingNew(
                f"{len(new)} corrections since the active version was trained; {LEAST_NEW} are needed"
            )
        base, base_vectors = registry.read_data(artefacts, active)
        examples = [*base, *(example for _, example in corrected)]
        vectors = _joined(base_vectors, learner.embed([example for _, example in corrected]))
        old = TriageModel.load(artefacts.fetch(active.artefact))
        comparison = _compare(learner, examples, vectors, old, active, _slice(new))
        model, figures = learner.learn(examples, vectors, Aside(judged, learner.embed(judged)))
        trained = Trained(
            artefact=registry.keep_model(artefacts, model),
            data=active.data,
            data_fingerprint=files.fingerprint(examples),
            figures={"examples": len(examples), "corrections": len(corrected), **figures},
            comparison=comparison,
            label_counts=label_counts(examples),
        )
        try:
            version = await _register(pool, trained, corrected, promote=promote)
        except versions.ExampleGone:
            artefacts.remove(trained.artefact)
            raise
    return registry.summary(version, model, time.monotonic() - started)


async def _register(
    pool: db.Pool, trained: Trained, corrected: Sequence[tuple[Corrected, Example]], *, promote: bool
) -> Version:
    async with db.transaction(pool) as conn:
        await versions.hold_examples(conn, [each.ticket_id for each, _ in corrected])
        version = await versions.register(conn, trained)
        version = await versions.cast_shadow(conn, None, version.id)
        if promote and trained.comparison and trained.comparison.is_win:
            version = await versions.promote(conn, None, version.id)
    return version


def _slice(new: Sequence[Corrected]) -> int:
    """How many of the newest corrections are held out; 0 where they would prove nothing."""
    size = round(len(new) * SLICE)
    return size if size >= LEAST_SLICE else 0


def _compare(
    learner: Learner,
    examples: Sequence[Example],
    vectors: Vectors,
    old: TriageModel,
    active: Version,
    size: int,
) -> Comparison | None:
    if not size:
        return None
    newest, newest_vectors = examples[-size:], vectors[-size:]
    challenger, _ = learner.learn(examples[:-size], vectors[:-size])
    said = [
        [each.candidates[0].name for each in model.predict([e.ticket.text for e in newest], newest_vectors)]
        for model in (challenger, old)
    ]
    return compare([each.label for each in newest], *said, against=active.id)


def _joined(one: Vectors, other: Vectors) -> Vectors:
    return np.concatenate([one, other]) if len(one) else other
