"""Takes Markdown apart into sections and the smallest pieces that make sense alone.

Prose is cut into sentences, lists into items, tables into rows and code into lines. Marks that say nothing
to a reader of plain text (emphasis, link targets, image addresses) are dropped.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|incl|no|vol|fig|dr|mr|mrs|ms|prof|st|al|ca)|\b[A-Za-z])\.$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9À-ÞЀ-Я])|(?<=[。！？])\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, list item, table row or code line.

    `lead` is repeated where a chunk begins with this piece (a table's header); `separator` goes before it.
    """

    text: str
    separator: str = " "
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading; `path` names the headings from the outermost in."""

    path: tuple[str, ...]
    pieces: tuple[Piece, ...]


def sections(markdown: str) -> list[Section]:
    """The sections in order; those without text of their own are left out."""
    tokens = _MARKDOWN.parse(markdown)
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    start = 0
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0:
            found.append(_section(path, tokens[start:i]))
            level = int(token.tag[1:])
            path = [*(each for each in path if each[0] < level), (level, _plain(tokens[i + 1]))]
            start = i + 3  # heading_open, inline, heading_close
    found.append(_section(path, tokens[start:]))
    return [each for each in found if each.pieces]


def sentences(text: str) -> list[str]:
    """`text` cut after each sentence; abbreviations and single initials do not end one."""
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : match.start()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [each for each in (*found, text[start:].strip()) if each]


def _section(path: Sequence[tuple[int, str]], tokens: Sequence[Token]) -> Section:
    return Section(tuple(title for _, title in path if title), tuple(_pieces(tokens)))


def _pieces(tokens: Sequence[Token]) -> Iterator[Piece]:
    lists = _Lists()
    rest = iter(tokens)
    for token in rest:
        match token.type:
            case "table_open":
                yield from _rows(takewhile(lambda each: each.type != "table_close", rest))
            case "inline":
                yield from _prose(_plain(token), lists.marker(), listed=lists.depth > 0)
            case "fence" | "code_block":
                yield from _code(token.content)
            case "html_block":
                yield from _prose(_text_of(token.content), "", listed=False)
            case _:
                lists.follow(token)


class _Lists:
    """Where in nested lists the reading is."""

    def __init__(self) -> None:
        self.depth = 0
        self._next = ""

    def follow(self, token: Token) -> None:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            self.depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self.depth -= 1
        elif token.type == "list_item_open":
            self._next = f"{token.info}. " if token.info else "- "

    def marker(self) -> str:
        """What goes before a paragraph: the item's mark before its first one, an indent before others."""
        marker, self._next = self._next or "  ", ""
        return "  " * (self.depth - 1) + marker if self.depth else ""


def _rows(tokens: Iterable[Token]) -> Iterator[Piece]:
    header, row = "", list[str]()
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(_plain(token))
        elif token.type == "tr_close" and any(row):
            line = " | ".join(row)
            yield Piece(line, "\n" if header else "\n\n", header)
            header = header or line


def _prose(text: str, marker: str, *, listed: bool) -> Iterator[Piece]:
    for i, sentence in enumerate(sentences(text)):
        if i == 0:
            yield Piece(marker + sentence, "\n" if listed else "\n\n")
        else:
            yield Piece(sentence)


def _code(content: str) -> Iterator[Piece]:
    lines = [line.rstrip() for line in content.splitlines() if line.strip()]
    for i, line in enumerate(lines):
        yield Piece("    " + line, "\n" if i else "\n\n")


def _plain(inline: Token) -> str:
    """The text a reader sees, in one line."""
    words: list[str] = []
    for token in inline.children or ():
        match token.type:
            case "text" | "code_inline":
                words.append(token.content)
            case "image" if " " in token.content:  # one word is a file's name
                words.append(token.content)
            case "softbreak" | "hardbreak":
                words.append(" ")
    return " ".join("".join(words).split())


def _text_of(html: str) -> str:
    return " ".join(BeautifulSoup(html, "html.parser").get_text(" ").split())
