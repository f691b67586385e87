"""TF-IDF over words, pairs of words and the characters in them; the vocabulary is learnt and kept in full.

Beside an embedding, which blurs rare names and codes, this sees them exactly. Spelling mistakes cost little:
most character n-grams of a misspelt word stay the same.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w\w+")
MAX_WORDS = 300
"""Words of one text that are read; what a ticket is about stands near its top."""

CHARACTERS = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class SparseRow:
    """The terms of one text: positions in the vocabulary, ascending, and their weights."""

    index: NDArray[np.int32]
    value: NDArray[np.float32]


class Words:
    """A vocabulary with inverse document frequencies: words and pairs first, then characters."""

    def __init__(self, terms: Sequence[str], idf: NDArray[np.float32], word_count: int) -> None:
        self.terms = terms
        self.idf = idf
        self.word_count = word_count
        self._position = {term: i for i, term in enumerate(terms)}

    @classmethod
    def learn(cls, texts: Sequence[str], *, min_texts: int = 2, max_each: int = 20_000) -> "Words":
        """The commonest terms of each sort that stand in at least `min_texts` texts."""
        seen: Counter[str] = Counter()
        for text in texts:
            seen.update(set(_word_terms(text)))
            seen.update(set(_character_terms(text)))
        usual = [(term, count) for term, count in seen.most_common() if count >= min_texts]
        words = [pair for pair in usual if pair[0][0] != "#"][:max_each]
        kept = words + [pair for pair in usual if pair[0][0] == "#"][:max_each]
        idf = [math.log((1 + len(texts)) / (1 + count)) + 1 for _, count in kept]
        return cls([term for term, _ in kept], np.array(idf, dtype=np.float32), len(words))

    def without(self, gone: NDArray[np.bool_]) -> "Words":
        """These terms are not known any more, and not written down; the others keep their positions."""
        kept = ["" if lost else term for term, lost in zip(self.terms, gone, strict=True)]
        return Words(kept, self.idf, self.word_count)

    def __len__(self) -> int:
        return len(self.terms)

    def row(self, text: str) -> SparseRow:
        """Sublinear counts times idf; the words' part and the characters' part each of unit length."""
        counts: Counter[int] = Counter()
        for term in (*_word_terms(text), *_character_terms(text)):
            position = self._position.get(term)
            if position is not None:
                counts[position] += 1
        index = np.array(sorted(counts), dtype=np.int32)
        value = np.array([1 + math.log(counts[i]) for i in index.tolist()], dtype=np.float32)
        value *= self.idf[index]
        for part in (index < self.word_count, index >= self.word_count):
            value[part] /= max(float(np.linalg.norm(value[part])), 1e-9)
        return SparseRow(index, value)


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())[:MAX_WORDS]


def _word_terms(text: str) -> Iterator[str]:
    words = _words(text)
    yield from words
    yield from (f"{a} {b}" for a, b in pairwise(words))


def _character_terms(text: str) -> Iterator[str]:
    """N-grams within words, marked by `#`; a word's ends are spaces."""
    for word in _words(text):
        padded = f" {word} "
        for n in CHARACTERS:
            for i in range(len(padded) - n + 1):
                yield "#" + padded[i : i + n]
