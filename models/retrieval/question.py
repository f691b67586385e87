"""A question as the embedder reads it: people put the point into the first line, and then tell the story."""

import numpy as np
from numpy.typing import NDArray

from models.embedding.protocol import Embedder, Vectors

OPENING_CHARACTERS = 600
"""About 128 tokens, as the embedder was trained on: on 1,127 real questions twice as many find no more."""
FIRST_LINE_CHARACTERS = 300


def views(question: str, *, opening: int = OPENING_CHARACTERS) -> list[str]:
    """The opening, and the first line where it is only a part of that: a subject above a body."""
    text = question.strip()
    first = text.partition("\n")[0].strip()[:FIRST_LINE_CHARACTERS]
    whole = text[:opening]
    return [whole, first] if first and first != whole else [whole]


async def embedded(question: str, embedder: Embedder, *, first_line: float) -> NDArray[np.float32]:
    """A unit vector: the opening's, and `first_line` times the first line's where there is one."""
    return mixed(await embedder.embed(views(question)), first_line=first_line)


def mixed(vectors: Vectors, *, first_line: float) -> NDArray[np.float32]:
    """A question's vector from those of its `views`."""
    both = vectors[0] if len(vectors) == 1 else vectors[0] + first_line * vectors[1]
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-9), dtype=np.float32)
