"""Full-text search over sealed tickets: PostgreSQL compares keyed hashes of stemmed words, and sees no word.

A ticket's `search` has the hash of each word of subject and body, and where it stands, for phrases' sake.
What that still shows to who has the database: which tickets share a word, how often and in which order.
"""

import asyncio
import base64
import re
from collections.abc import Iterable

from app.db import Connection
from app.vault import service as vault
from models.retrieval.terms import placed

PURPOSE = "tickets.search"
HASH_BYTES = 8
"""The odds that any two of a million different words fall together are 1 in 37 million."""

LONG = 2_000
"""Characters: stemming takes up to 40 µs a word, more than a loop should wait for."""

MOST_PLACES = 256
"""As many as PostgreSQL keeps of one word."""

_SPELT = re.compile(r"[A-Za-z0-9_'&|!<>() -]+")
_PIECE = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')


async def indexed(conn: Connection, subject: str, body: str) -> str:
    """What `search` is to be, as PostgreSQL reads a tsvector."""
    text = f"{subject}\n{body}"
    places = await asyncio.to_thread(_places, text) if len(text) > LONG else _places(text)
    hashes = await _hashed(conn, places)
    return " ".join(f"'{hashes[word]}':{','.join(map(str, at))}" for word, at in places.items())


async def query(conn: Connection, text: str) -> str | None:
    """A tsquery of what a person typed: words, `"a phrase"`, `or`, `-without`; `None` where nothing is left.

    As PostgreSQL's `websearch_to_tsquery` reads it: words stand together, and bind closer than `or`.
    """
    groups: list[list[tuple[str, list[tuple[str, int]]]]] = [[]]
    for minus, phrase, piece in _PIECE.findall(text):
        if piece.casefold() == "or" and not minus:
            groups.append([])
        elif words := list(placed(phrase or piece)):
            groups[-1].append(("!" if minus else "", words))
    hashes = await _hashed(conn, {word for group in groups for _, words in group for word, _ in words})
    spelt = [
        " & ".join(minus + _phrase(words, hashes) for minus, words in group) for group in groups if group
    ]
    return " | ".join(spelt) or None


def literal(query: str) -> str:
    """A tsquery of `query` as it stands in a statement, which is then planned for these very words.

    As a parameter it is planned for words of unknown frequency, once for all: a list in the order of ids is
    read backwards then, also for a word that hardly any ticket has.
    """
    if not _SPELT.fullmatch(query):
        raise ValueError("a query is made of hashes and operators only")
    return "'" + query.replace("'", "''") + "'::tsquery"


def _places(text: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for word, place in placed(text):
        at = found.setdefault(word, [])
        if len(at) < MOST_PLACES:
            at.append(place)
    return found


def _phrase(words: list[tuple[str, int]], hashes: dict[str, str]) -> str:
    """One word, or several that follow each other at the distances they were typed at."""
    first, at = words[0]
    spelt = f"'{hashes[first]}'"
    for word, place in words[1:]:
        spelt += f" <{place - at}> '{hashes[word]}'"
        at = place
    return f"({spelt})"


async def _hashed(conn: Connection, words: Iterable[str]) -> dict[str, str]:
    known = list(words)
    digests = await vault.hashed(conn, PURPOSE, known) if known else []
    return {
        word: base64.urlsafe_b64encode(digest[:HASH_BYTES]).rstrip(b"=").decode()
        for word, digest in zip(known, digests, strict=True)
    }
