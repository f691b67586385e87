"""Chunks lose no text, keep to their size and keep their ids."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from models.retrieval.blocks import sections, sentences
from models.retrieval.chunking import PREFIX_TOKENS, Chunk, Chunking, chunk

WORDS = st.text(alphabet="abcdefghij", min_size=1, max_size=12)
SENTENCE = st.lists(WORDS, min_size=1, max_size=30).map(lambda words: " ".join(words).capitalize() + ".")
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=6).map(" ".join)
HEADING = st.tuples(st.integers(1, 4), WORDS).map(lambda pair: f"{'#' * pair[0]} {pair[1]}")
LIST = st.lists(SENTENCE, min_size=1, max_size=5).map(lambda items: "\n".join(f"- {each}" for each in items))
ARTICLE = st.lists(st.one_of(PARAGRAPH, HEADING, LIST), max_size=12).map("\n\n".join)


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def cut(body: str, title: str = "Title", tokens: int = 40, overlap: int = 1, least: int = 0) -> list[Chunk]:
    return chunk("key", title, body, count=count, chunking=Chunking(tokens, overlap, least))


@given(ARTICLE, st.integers(10, 60), st.integers(0, 60))
def test_every_word_is_in_a_chunk_and_none_is_too_large(body: str, tokens: int, least: int) -> None:
    chunks = cut(body, tokens=tokens, least=least)

    words = {word for each in chunks for word in f"{each.section} {each.text}".split()}
    bare = {word.strip(":") for word in words}
    expected = {word for section in sections(body) for piece in section.pieces for word in piece.text.split()}
    assert expected <= words | bare
    assert all(count([each.text])[0] <= tokens for each in chunks)


@given(ARTICLE)
def test_the_same_text_keeps_its_ids(body: str) -> None:
    first, second = cut(body), cut(body)
    assert first == second
    assert len({each.id for each in first}) == len(first)


@given(PARAGRAPH, st.integers(8, 20))
def test_prose_is_cut_between_sentences(paragraph: str, tokens: int) -> None:
    whole = [each for each in sentences(paragraph) if len(each.split()) <= tokens]
    texts = " ¶ ".join(each.text for each in cut(paragraph, tokens=tokens))
    assert all(each in texts for each in whole)


def test_editing_one_section_leaves_the_other_ids() -> None:
    before = cut("# One\n\nFirst text here.\n\n# Two\n\nSecond text here.")
    after = cut("# One\n\nFirst text here.\n\n# Two\n\nSecond text, changed.")
    assert before[0].id == after[0].id
    assert before[1].id != after[1].id


def test_a_chunk_knows_its_headings_and_its_title_is_not_one() -> None:
    chunks = cut("# Title\n\n## Sync\n\n### Conflicts\n\nKeep both copies.\n\n## Export\n\nChoose a format.")
    assert [each.section for each in chunks] == ["Sync > Conflicts", "Export"]
    assert chunks[0].embedded == "Title\nSync > Conflicts\nKeep both copies."


def test_small_sections_are_taken_together_under_their_headings() -> None:
    (only,) = cut("## A\n\n### One\n\nShort.\n\n### Two\n\nAlso short.", least=10)
    assert only.section == "A > One"
    assert only.text == "Short.\n\nTwo:\n\nAlso short."


def test_a_chunk_repeats_the_last_sentence_of_the_one_before() -> None:
    body = " ".join(f"Sentence {n} is here now." for n in range(8))
    texts = [each.text for each in cut(body, tokens=20)]
    assert len(texts) > 1
    for before, after in itertools.pairwise(texts):
        assert after.startswith(sentences(before)[-1])


def test_a_long_table_repeats_its_header() -> None:
    rows = "\n".join(f"| code {n} | what number {n} means |" for n in range(20))
    chunks = cut(f"| Code | Meaning |\n|---|---|\n{rows}")
    assert len(chunks) > 1
    assert all(each.text.startswith("Code | Meaning\n") for each in chunks)


def test_code_lists_and_links_stay_readable() -> None:
    code = "```bash\nfernleaf sync now\nfernleaf sync status\n```"
    body = f"Run **this**:\n\n{code}\n\n1. See [the page](x.md).\n2. Go."
    (only,) = cut(body)
    assert only.text == (
        "Run this:\n\n    fernleaf sync now\n    fernleaf sync status\n1. See the page.\n2. Go."
    )


def test_repeated_passages_are_folded() -> None:
    assert len(cut("## A\n\nThe same words.\n\n## B\n\nOther.\n\n## A\n\nThe same words.")) == 2


def test_what_has_no_blanks_is_still_cut() -> None:
    def by_letter(texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    chunks = chunk("key", "T", "x" * 1000, count=by_letter, chunking=Chunking(100, 0))
    assert "".join(each.text for each in chunks).count("x") >= 50
    assert all(len(each.text) <= 100 for each in chunks)


def test_a_monstrous_heading_leaves_room_for_the_text() -> None:
    heading = " ".join(["word"] * (PREFIX_TOKENS + 100))
    chunks = cut(f"# {heading}\n\n" + "Some text here. " * 30, tokens=40)
    assert all(each.tokens <= 20 for each in chunks)


def test_sentences_end_where_people_end_them() -> None:
    text = "Use a proxy, e.g. Squid. Version 4.2 is old! Is it? Mr. Smith says “yes.” Then go."
    assert sentences(text) == [
        "Use a proxy, e.g. Squid.",
        "Version 4.2 is old!",
        "Is it?",
        "Mr. Smith says “yes.”",
        "Then go.",
    ]


def test_an_empty_body_has_no_chunks() -> None:
    assert cut("") == []
    assert cut("# Only a heading") == []
