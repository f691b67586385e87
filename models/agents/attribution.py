"""Which passages an answer rests on, found after it was written.

A small model cannot be trusted to mark its own sources, and a large one forgets. Each sentence is credited
to the passage it is closest to, if it is close at all.
"""

import re
from collections.abc import Sequence

import numpy as np

from models.embedding.protocol import Embedder
from models.retrieval.passages import Passage

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
MAX_SENTENCES = 8


async def credited(
    answer: str, passages: Sequence[Passage], embedder: Embedder, *, closeness: float
) -> list[Passage]:
    """The passages that some sentence of `answer` is within `closeness` (cosine) of, most credited first.

    An answer from passages always has a source: where no sentence is close enough, the best passage.
    """
    sentences = [part.strip() for part in SENTENCE_END.split(answer) if len(part.strip()) > 15][
        :MAX_SENTENCES
    ]
    if not passages:
        return []
    if not sentences:
        return [passages[0]]
    vectors = await embedder.embed([*sentences, *(passage.text for passage in passages)])
    cosines = vectors[: len(sentences)] @ vectors[len(sentences) :].T
    best = cosines.argmax(axis=1)
    close = cosines.max(axis=1) >= closeness
    credit = np.bincount(best[close], weights=cosines.max(axis=1)[close], minlength=len(passages))
    order = [int(i) for i in np.argsort(-credit, kind="stable") if credit[i] > 0]
    return [passages[i] for i in order] or [passages[0]]
