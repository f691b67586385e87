"""A question as the embedder reads it: people put the point into the first line, and then tell the story."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Embedder, Vectors

Vector: TypeAlias = NDArray[np.float32]
OPENING_CHARACTERS = 600
"""About 128 tokens, as the embedder was trained on: on 1,127 real questions twice as many find no more."""
FIRST_LINE_CHARACTERS = 300


def views(question: str, *, opening: int = OPENING_CHARACTERS) -> list[str]:
    """The opening, and the first line where it is only a part of that: a subject above a body."""
    text = question.strip()
    first = text.partition("\n")[0].strip()[:FIRST_LINE_CHARACTERS]
    whole = text[:opening]
    return [whole, first] if first and first != whole else [whole]


@dataclass(frozen=True, slots=True)
class Read:
    """A question as unit vectors: to be compared with passages, and with other questions."""

    passages: Vector
    questions: Vector


async def read(question: str, embedder: Embedder, *, first_line: float) -> Read:
    """To passages: the opening's vector and `first_line` times the first line's where there is one."""
    vectors = await embedder.embed_fading(views(question))
    return Read(mixed(vectors[:, 0], first_line=first_line), vectors[0, 1])


async def compared(question: str, embedder: Embedder) -> Vector:
    """As it is compared with other questions."""
    vectors = await embedder.embed_fading(views(question)[:1])
    return np.asarray(vectors[0, 1])


def mixed(vectors: Vectors, *, first_line: float) -> Vector:
    """A question's vector from those of its `views`."""
    both = vectors[0] if len(vectors) == 1 else vectors[0] + first_line * vectors[1]
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-9), dtype=np.float32)
