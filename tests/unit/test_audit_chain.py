"""The audit's chain: whatever is done to it is found, and the place is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.chain import GENESIS, Entry, Head, Link, anchors, seal
from app.audit.sealer import linked
from app.audit.verification import Verification
from monitoring.masking import mask

START = Head(0, GENESIS, datetime(2026, 11, 1, tzinfo=UTC))
LENGTH = 12
PLACES = st.integers(0, LENGTH - 1)
FIELDS = st.sampled_from(["actor", "api_key", "address", "cause", "action", "object", "object_id", "change"])


def entry(n: int) -> Entry:
    at = START.sealed_at + timedelta(seconds=n)
    return Entry(n, at, f"user:{n}", None, "10.0.0.1", None, "changed", "tickets", str(n), '{"a": [1, 2]}')


def chain(length: int = LENGTH, batch: int = 5) -> list[Link]:
    """Sealed in batches, as in life."""
    links: list[Link] = []
    head = START
    for begin in range(0, length, batch):
        now = START.sealed_at + timedelta(minutes=begin)
        links += linked(head, now, [entry(n) for n in range(begin, min(begin + batch, length))])
        head = Head(links[-1].position, links[-1].hash, links[-1].sealed_at)
    return links


def end(links: list[Link]) -> Head:
    return Head(links[-1].position, links[-1].hash, links[-1].sealed_at)


WHOLE = chain()


def checked(links: list[Link], known: dict[int, bytes] | None = None, to: Head | None = None) -> Verification:
    found = Verification(START, to or end(WHOLE), known or {})
    for link in links:
        found.check(link)
    found.finish()
    return found


def first(links: list[Link]) -> tuple[int | None, str]:
    found = checked(links).first
    assert found
    return found.position, found.what


def test_a_whole_chain_has_nothing_broken() -> None:
    found = checked(WHOLE, {link.position: link.hash for link in WHOLE} | {0: GENESIS})
    assert (found.checked, found.breaks) == (LENGTH, [])


@given(PLACES, FIELDS, st.integers(0, 200), st.characters(codec="utf-8"))
def test_one_character_changed_is_found_there_and_only_there(
    at: int, name: str, place: int, character: str
) -> None:
    text = getattr(WHOLE[at].entry, name) or ""
    changed = text[:place] + character + text[place + 1 :]
    if changed == text:
        return
    links = [*WHOLE]
    links[at] = replace(links[at], entry=replace(links[at].entry, **{name: changed}))
    found = checked(links)
    assert [each.position for each in found.breaks] == [at + 1]
    assert "it was changed" in found.breaks[0].what


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda link: replace(link, hash=bytes(32)),
        lambda link: replace(link, sealed_at=link.sealed_at + timedelta(microseconds=1)),
        lambda link: replace(link, entry=replace(link.entry, id=99)),
        lambda link: replace(link, entry=replace(link.entry, occurred_at=START.sealed_at)),
        lambda link: replace(link, entry=replace(link.entry, address=None, cause="10.0.0.1")),
        lambda link: replace(link, entry=replace(link.entry, api_key="")),
    ],
)
def test_every_field_counts(spoilt: Callable[[Link], Link]) -> None:
    links = [*WHOLE]
    links[6] = spoilt(links[6])
    assert first(links)[0] == 7


@given(PLACES, st.integers(1, 4))
def test_what_was_taken_out_is_named(at: int, many: int) -> None:
    position, what = first(WHOLE[:at] + WHOLE[at + many :])
    assert position == at + 1
    assert "missing" in what


@given(PLACES, PLACES, st.sampled_from(["rows", "contents", "contents and hashes"]))
def test_two_that_changed_places_are_named(one: int, other: int, kind: str) -> None:
    """Whole rows but for their positions, their contents alone, or those with their hashes."""
    one, other = sorted((one, other))
    if one == other:
        return
    a, b = WHOLE[one], WHOLE[other]
    links = [*WHOLE]
    match kind:
        case "rows":
            links[one], links[other] = replace(b, position=a.position), replace(a, position=b.position)
        case "contents":
            links[one], links[other] = replace(a, entry=b.entry), replace(b, entry=a.entry)
        case _:
            links[one] = replace(a, entry=b.entry, hash=b.hash)
            links[other] = replace(b, entry=a.entry, hash=a.hash)
    position, what = first(links)
    assert position == one + 1
    assert what.endswith(f"entries {one + 1} and {other + 1} were swapped")
    assert {each.position for each in checked(links).breaks} == {one + 1, other + 1}


@given(st.integers(1, LENGTH))
def test_a_tail_that_was_cut_off_is_missed(cut: int) -> None:
    position, what = first(WHOLE[:-cut])
    assert position == LENGTH - cut + 1
    assert "missing at the end" in what


def test_what_was_put_in_is_named() -> None:
    forged = replace(WHOLE[4], entry=entry(77))
    assert first([*WHOLE[:5], forged, *WHOLE[5:]])[1].endswith("a second entry claims this place")
    behind = linked(end(WHOLE), START.sealed_at, [entry(77)])
    assert first([*WHOLE, *behind]) == (LENGTH + 1, "was put behind the end of the chain, not sealed")


def test_a_chain_that_was_computed_anew_contradicts_an_anchor() -> None:
    forged = linked(START, START.sealed_at, [replace(link.entry, actor="nobody") for link in WHOLE])
    assert not checked(forged, to=end(forged)).breaks, "it fits itself"
    found = checked(forged, {7: WHOLE[6].hash}, end(forged))
    assert found.first
    assert (found.first.position, "anchor" in found.first.what) == (7, True)


def test_a_tail_that_was_cut_off_with_the_head_contradicts_an_anchor() -> None:
    short = WHOLE[:8]
    assert not checked(short, to=end(short)).breaks
    found = checked(short, {LENGTH: WHOLE[-1].hash}, end(short))
    assert found.first
    assert (found.first.position, "once reached 12" in found.first.what) == (9, True)


def test_time_never_goes_back_in_the_chain() -> None:
    early = linked(end(WHOLE), START.sealed_at - timedelta(days=1), [entry(77)])
    assert early[0].sealed_at == WHOLE[-1].sealed_at


def test_fields_cannot_run_into_each_other() -> None:
    a, b = entry(1), entry(1)
    a, b = replace(a, object="ti", object_id="ckets"), replace(b, object="tick", object_id="ets")
    assert seal(GENESIS, 1, START.sealed_at, a) != seal(GENESIS, 1, START.sealed_at, b)


def test_a_known_hash() -> None:
    """Whoever verifies with a program of their own can hold it against this one."""
    digest = seal(GENESIS, 1, START.sealed_at, entry(1))
    assert digest.hex() == "f5ea27f58b5fee070d6473cacb63746b109eee4512bc6f758d6c5a38b0f94789"


def test_a_head_survives_the_log_and_is_found_again() -> None:
    head = end(WHOLE)
    line = mask(f'{{"event": "audit sealed", "head": "{head}"}}')
    assert anchors(line) == {head.position: head.hash}
    assert anchors(mask(str(Head(123_456_789_012, bytes(range(32)), head.sealed_at)))) == {
        123_456_789_012: bytes(range(32))
    }
    assert anchors("nothing of the kind: audit-12-beef") == {}
