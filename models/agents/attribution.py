"""Which passages an answer rests on, found after it was written.

A small model cannot be trusted to mark its own sources, and a large one forgets. A passage is
credited if some sentence of the answer is close to it.
"""

import re
from collections.abc import Sequence

import numpy as np

from models.embedding.protocol import Embedder
from models.retrieval.passages import Passage
from monitoring import metrics

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
MAX_SENTENCES = 8


async def credited(
    answer: str, passages: Sequence[Passage], embedder: Embedder, *, closeness: float
) -> list[Passage]:
    """The passages that some sentence of `answer` is within `closeness` (cosine) of, closest first.

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
    closest = (vectors[: len(sentences)] @ vectors[len(sentences) :].T).max(axis=0)
    order = [int(i) for i in np.argsort(-closest, kind="stable") if closest[i] >= closeness]
    if not order:
        metrics.ANSWERS_UNGROUNDED.add()
    return [passages[i] for i in order] or [passages[0]]
