"""The same text in two articles is shown once."""

from hypothesis import given
from hypothesis import strategies as st

from models.retrieval.duplicates import alike, folded, shingles
from models.retrieval.passages import Passage

STEPS = (
    "Open the menu, choose Settings, then Privacy, and clear what was stored. Restart the browser afterwards."
)


def passage(article: str, text: str, chunk: str = "") -> Passage:
    return Passage(
        chunk or f"{article}:{text[:9]}", article, article, article, "", None, text, len(text.split())
    )


def test_a_copy_in_another_article_is_folded_into_the_better_one() -> None:
    copy = STEPS.replace("browser", "Browser").replace("afterwards", "afterwards!")
    found = [
        passage("a", STEPS),
        passage("b", "Something else entirely, in a few words."),
        passage("c", copy),
    ]
    assert [each.article_id for each in folded(found)] == ["a", "b"]
    assert [each.article_id for each in folded(found[::-1])] == ["c", "b"]


def test_what_differs_in_its_words_stays() -> None:
    other = STEPS.replace("Privacy", "Sync").replace("clear what was stored", "sign in with your account")
    assert len(folded([passage("a", STEPS), passage("b", other)])) == 2


def test_an_articles_own_overlapping_passages_stay() -> None:
    assert len(folded([passage("a", STEPS, "1"), passage("a", STEPS, "2")])) == 2


def test_short_texts_are_compared_as_a_whole() -> None:
    assert alike(shingles("Clear the cache"), shingles("clear the cache."))
    assert not alike(shingles("Clear the cache"), shingles("Clear the history"))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=40)), max_size=12))
def test_folding_keeps_the_order_and_the_first(rows: list[tuple[str, str]]) -> None:
    found = [passage(article, text, str(i)) for i, (article, text) in enumerate(rows)]
    kept = folded(found)
    assert kept[:1] == found[:1]
    assert [int(each.chunk_id) for each in kept] == sorted(int(each.chunk_id) for each in kept)
    assert folded(kept) == kept
