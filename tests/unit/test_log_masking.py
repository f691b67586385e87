"""The masker: whatever has the form of personal data does not come out again."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitoring.masking import MASK, MOST, PRIVATE, mask, masked

word = st.text(string.ascii_letters + "äöéñ' ,;()", max_size=30)
digits = st.text("0123456789", min_size=1, max_size=1)


def numbers(count: int) -> st.SearchStrategy[str]:
    return st.lists(digits, min_size=count, max_size=count).map("".join)


emails = st.from_regex(
    r"[a-z][a-z0-9.+_-]{0,20}[a-z0-9]@[a-z][a-z0-9-]{1,12}\.(com|de|co\.uk)", fullmatch=True
)
telephones = st.builds(
    lambda country, rest, gap: f"+{country}{gap}{rest[:3]}{gap}{rest[3:6]}{gap}{rest[6:]}",
    st.sampled_from(["1", "44", "49", "358"]),
    numbers(10),
    st.sampled_from(["", " ", "-", "."]),
)
cards = st.builds(
    lambda n, gap: gap.join(n[i : i + 4] for i in range(0, 16, 4)),
    numbers(16),
    st.sampled_from(["", " ", "-"]),
)
ibans = st.builds(lambda n: f"DE{n}", numbers(20))
addresses = st.ip_addresses(v=4).map(str).filter(lambda a: a not in {"127.0.0.1", "0.0.0.0"})
tokens = st.builds(
    lambda a, b, c: f"eyJ{a}.eyJ{b}.{c}",
    *(st.text(string.ascii_letters + string.digits, min_size=10, max_size=40) for _ in range(3)),
)
keys = st.text(string.ascii_letters + string.digits, min_size=20, max_size=48).map("sk-{}".format)
bearers = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40).map("Bearer {}".format)
secrets = st.one_of(emails, telephones, cards, ibans, addresses, tokens, keys, bearers)


@given(word, secrets, word)
def test_it_does_not_come_out(before: str, secret: str, after: str) -> None:
    bare = secret.removeprefix("Bearer ")
    assume("@" not in before + after and bare not in f"{before} {after}")
    shown = mask(f"{before} {secret} {after}")
    assert secret not in shown
    assert bare not in shown


@given(st.lists(st.one_of(word, secrets), max_size=8).map(" ".join))
def test_masking_twice_changes_nothing(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@given(
    st.recursive(
        secrets, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word, inner, max_size=3)
    )
)
def test_it_looks_inside(value: object) -> None:
    def leaves(value: object) -> list[str]:
        if isinstance(value, dict):
            return [leaf for each in value.values() for leaf in leaves(each)]
        if isinstance(value, list):
            return [leaf for each in value for leaf in leaves(each)]
        return [str(value)]

    shown = str(masked(value))
    assert not [leaf for leaf in leaves(value) if leaf in shown]


@given(st.sampled_from(sorted(PRIVATE)), st.one_of(st.text(min_size=1), st.integers()))
def test_private_fields_lose_whatever_they_hold(key: str, value: object) -> None:
    assert masked(value, key) == MASK
    assert masked({key.upper(): value}) == {key.upper(): MASK}


@pytest.mark.parametrize(
    "text",
    [
        "job failed",
        "2026-11-22T10:20:30.123456Z",
        "127.0.0.1:8000",
        "0190f5a2-7c3e-7d10-8a44-5b1f2c3d4e5f",
        "POST /api/v1/tickets/{ticket_id}/messages",
        "took 1234 ms, 512 of 1024 chunks",
        "tickets.get",
    ],
)
def test_what_is_nobodys_stays(text: str) -> None:
    assert mask(text) == text


def test_a_url_loses_its_password() -> None:
    assert "hunter2" not in mask("postgresql://eservice:hunter2@10.0.0.5:5432/eservice")


def test_a_very_long_text_is_cut() -> None:
    assert len(mask("x" * 1_000_000)) == MOST
