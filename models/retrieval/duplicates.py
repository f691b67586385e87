"""Folds near-duplicates: the same text in two articles is shown once, where it was found best.

Two texts are near-duplicates where their sets of five-word shingles are alike by Jaccard's measure (Broder
1997, "On the resemblance and containment of documents"). Only what the reader may read is compared, so that a
text never hides behind a copy of it that is not for them.
"""

import re
from collections.abc import Sequence

from models.retrieval.passages import Passage

SHINGLE = 5
ALIKE = 0.8
_WORD = re.compile(r"\w+")


def shingles(text: str) -> frozenset[int]:
    """A text of fewer words is one shingle."""
    words = _WORD.findall(text.casefold())
    last = max(len(words) - SHINGLE, 0)
    return frozenset(hash(tuple(words[i : i + SHINGLE])) for i in range(last + 1))


def alike(one: frozenset[int], other: frozenset[int]) -> bool:
    small, large = sorted((len(one), len(other)))
    if small < ALIKE * large:
        return False
    common = len(one & other)
    return common >= ALIKE * (len(one) + len(other) - common)


def folded(passages: Sequence[Passage]) -> list[Passage]:
    """The same order without passages whose text another article has further up."""
    kept: list[tuple[Passage, frozenset[int]]] = []
    for passage in passages:
        mine = shingles(passage.text)
        if not any(alike(mine, hers) for each, hers in kept if each.article_id != passage.article_id):
            kept.append((passage, mine))
    return [passage for passage, _ in kept]
