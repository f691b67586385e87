"""Turns text into the terms that keyword search counts: words, lower-cased, stemmed, hashed."""

import re
import unicodedata
import zlib
from collections.abc import Iterator
from functools import lru_cache

from snowballstemmer import stemmer

VERSION = "terms-1"
"""Part of an index's description: change it with anything here, and the index is built anew."""

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_CODE = re.compile(r"\w+(?:[-.:_/]\w+)+")
"""Error codes, versions, settings and file names are terms as a whole too: FL-204, about:config."""

_STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being but by can could did do does
    doing done for from had has have having he her here hers him his how i if in into is it its just like me
    more most my no nor not now of off on once only or other our out over own please same she should so some
    such than that the their them then there these they this those through to too under until up us very was
    we were what when where which while who why will with would you your
    """.split()  # noqa: SIM905  # a hundred quoted words otherwise
)
_stemmer = stemmer("english")


def terms(text: str) -> Iterator[str]:
    """The terms of `text`, in order, with repetitions."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    for word in _WORD.findall(folded):
        if word not in _STOP_WORDS:
            yield stem(word.replace("’", "'"))
    yield from _CODE.findall(folded)


def placed(text: str) -> Iterator[tuple[str, int]]:
    """Stemmed words and their places, from 1 on; words that say nothing take a place and are left out."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    for place, word in enumerate(_WORD.findall(folded), 1):
        if word not in _STOP_WORDS:
            yield stem(word.replace("’", "'")), place


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    return str(_stemmer.stemWord(word))


def hashed(term: str) -> int:
    """Below 2^32 - 1, as a Milvus sparse vector wants. Of 100,000 terms about one pair falls together."""
    return zlib.crc32(term.encode()) % 0xFFFF_FFFF
