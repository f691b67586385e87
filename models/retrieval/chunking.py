"""Cuts an article into passages: by structure, then by sentences, sized in the embedder's own tokens."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tokenizers import Tokenizer

from models.retrieval.blocks import Piece, Section, sections
from models.retrieval.passages import embedded
from models.retrieval.terms import VERSION as TERMS_VERSION

Sizer: TypeAlias = Callable[[Sequence[str]], list[int]]
"""How many tokens each text has."""


def sizer(tokenizer: Path) -> Sizer:
    """Counts as the embedder does whose `tokenizer.json` this is, without its special tokens."""
    counter = Tokenizer.from_file(str(tokenizer))
    counter.no_padding()
    counter.no_truncation()
    return lambda texts: [len(each) for each in counter.encode_batch(list(texts), add_special_tokens=False)]


STRUCTURE = "structure-1"
PREFIX_TOKENS = 64
"""What title and headings may add to a chunk where it is embedded; the rest of them is cut."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """How to cut. `version` names everything that shapes a chunk, for the index that is made of them."""

    tokens: int = 180
    overlap_sentences: int = 1
    least: int = 60

    @property
    def version(self) -> str:
        return f"{STRUCTURE}:{self.tokens}:{self.overlap_sentences}:{self.least}:{TERMS_VERSION}"

    @classmethod
    def parse(cls, version: str) -> "Chunking":
        """How an index was cut, by its `version`; `ValueError` where this code cuts in another way."""
        structure, *numbers, terms = version.split(":")
        if structure != STRUCTURE or terms != TERMS_VERSION or len(numbers) != 3:
            raise ValueError(f"{version!r} is not how this version of eService cuts: build a new index")
        return cls(*map(int, numbers))


@dataclass(frozen=True, slots=True)
class Chunk:
    """`id` hashes all that is embedded, and the article, so that the same text keeps its id and vector."""

    id: str
    position: int
    title: str
    section: str
    text: str
    tokens: int

    @property
    def embedded(self) -> str:
        return embedded(self.title, self.section, self.text)


def chunk(key: str, title: str, body: str, *, count: Sizer, chunking: Chunking) -> list[Chunk]:
    """The chunks of the article that `key` names among all sources; repeated passages are folded into one."""
    found: dict[str, Chunk] = {}
    for section, text, tokens in _passages(title, body, count, chunking):
        digest = hashlib.sha256("\0".join((key, title, section, text)).encode()).hexdigest()[:32]
        found.setdefault(digest, Chunk(digest, len(found), title, section, text, tokens))
    return list(found.values())


def _merged(found: Sequence[Section], count: Sizer, least: int) -> Iterator[Section]:
    """The same text in fewer sections: one of less than `least` tokens takes in those that follow it.

    The headings of what was taken in stand in the text.
    """
    open_: Section | None = None
    for section in found:
        if open_ is None:
            open_ = section
        elif sum(count([piece.text for piece in open_.pieces])) < least and _related(open_, section):
            heading = Piece(section.path[-1] + ":", "\n\n")
            open_ = Section(open_.path, (*open_.pieces, heading, *section.pieces))
        else:
            yield open_
            open_ = section
    if open_ is not None:
        yield open_


def _related(first: Section, second: Section) -> bool:
    """Whether both stand under the same heading, or one under the other."""
    return bool(second.path) and second.path[: len(first.path) - 1] == first.path[:-1]


def _passages(title: str, body: str, count: Sizer, chunking: Chunking) -> Iterator[tuple[str, str, int]]:
    for each in _merged(sections(body), count, chunking.least):
        section = " > ".join(heading for heading in each.path if heading != title)
        limit = _limit(sum(count([title, section])), chunking.tokens)
        pieces = list(_fitting(each.pieces, count, limit))
        sizes = count([piece.text for piece in pieces])
        for passage, tokens in _packed(list(zip(pieces, sizes, strict=True)), count, limit, chunking):
            yield section, _join(passage), tokens


def _limit(prefix: int, tokens: int) -> int:
    """Tokens the text may have beside a prefix of that many; a monstrous heading takes at most half."""
    return max(tokens // 2, min(tokens, tokens + PREFIX_TOKENS - prefix))


def _packed(
    pieces: Sequence[tuple[Piece, int]], count: Sizer, limit: int, chunking: Chunking
) -> Iterator[tuple[list[Piece], int]]:
    """Fill passages up to `limit`; each begins with the end of the one before, or its table's header."""
    passage: list[tuple[Piece, int]] = []
    for piece, size in pieces:
        if passage and sum(each for _, each in passage) + size > limit:
            yield [each for each, _ in passage], sum(each for _, each in passage)
            passage = _overlap(passage, piece, count, min(limit // 4, limit - size), chunking)
        passage.append((piece, size))
    if passage:
        yield [each for each, _ in passage], sum(each for _, each in passage)


def _overlap(
    before: Sequence[tuple[Piece, int]], first: Piece, count: Sizer, room: int, chunking: Chunking
) -> list[tuple[Piece, int]]:
    """What to repeat ahead of `first`; nothing where it does not fit into `room` tokens."""
    if first.lead:
        repeated = [(Piece(first.lead), count([first.lead])[0])]
    else:
        repeated = list(before[len(before) - chunking.overlap_sentences :])
    return repeated if sum(size for _, size in repeated) <= room else []


def _fitting(pieces: Sequence[Piece], count: Sizer, limit: int) -> Iterator[Piece]:
    """The same pieces, those longer than `limit` tokens cut in halves until they fit."""
    for piece, size in zip(pieces, count([piece.text for piece in pieces]), strict=True):
        if size <= limit or len(piece.text) < 2:
            yield piece
        else:
            first, second = _halves(piece.text)
            yield from _fitting(
                [Piece(first, piece.separator, piece.lead), Piece(second, lead=piece.lead)], count, limit
            )


def _halves(text: str) -> tuple[str, str]:
    """Cut at the blank nearest to the middle, or in the middle of a word that has none."""
    middle = len(text) // 2
    blanks = [i for i, character in enumerate(text) if character.isspace() and 0 < i < len(text) - 1]
    at = min(blanks, key=lambda i: abs(i - middle), default=middle)
    return text[:at].rstrip(), text[at:].lstrip()


def _join(pieces: Sequence[Piece]) -> str:
    return "".join(piece.separator + piece.text for piece in pieces).strip("\n ")
