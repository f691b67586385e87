"""Token buckets of one replica, the classes of requests, and whose address counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits import buckets
from app.limits.addresses import address_of
from app.limits.buckets import Claim, LocalBuckets, standing
from app.limits.classes import class_of
from app.limits.headers import fields
from config.limits import Rate

RATE = Rate(burst=5, per_minute=60)


def claim(holder: str = "ann", rate: Rate = RATE, cost: float = 1) -> Claim:
    return Claim("user-reading", holder, rate, cost)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_in_any_stretch_of_time_no_more_than_burst_and_rate_allow(gaps: list[float]) -> None:
    now = 0.0
    bucket = LocalBuckets(lambda: now)
    granted = []
    for gap in gaps:
        now += gap
        if bucket.take([claim()])[0]:
            granted.append(now)
    for i, start in enumerate(granted):
        for j, end in enumerate(granted[i:], i):
            assert j - i + 1 <= RATE.burst + (end - start) * RATE.per_second + 1e-6


def test_a_refused_request_costs_no_bucket_anything() -> None:
    bucket = LocalBuckets(lambda: 0.0)
    scarce = claim("office", Rate(burst=1, per_minute=1))
    assert bucket.take([claim(), scarce])[0]
    assert not bucket.take([claim(), scarce])[0]
    assert bucket.take([claim()]) == (True, [4.0])


def test_what_is_given_back_never_overflows() -> None:
    bucket = LocalBuckets(lambda: 0.0)
    bucket.take([claim(cost=-1)])
    assert bucket.take([claim()]) == (True, [5.0])


def test_the_longest_unused_bucket_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MOST_LOCAL_BUCKETS", 2)
    bucket = LocalBuckets(lambda: 0.0)
    for holder in ("ann", "bob", "cem"):
        bucket.take([claim(holder)])
    assert bucket.take([claim("ann")]) == (True, [5.0])


def test_the_bucket_that_binds_first_is_told() -> None:
    office = Claim("address-reading", "office", Rate(burst=100, per_minute=60))
    found = standing([office, claim()], [3.0, 5.0], allowed=True)
    assert (found.policy, found.limit, found.remaining) == ("address-reading", 100, 2)
    assert fields(found) == {
        "RateLimit-Policy": '"address-reading";q=100;w=100',
        "RateLimit": '"address-reading";r=2;t=2',
    }


def test_a_refusal_says_how_long_to_wait_for_all_that_is_missing() -> None:
    slow = Claim("address-reading", "office", Rate(burst=2, per_minute=6))
    found = standing([claim(), slow], [0.9, 0.5], allowed=False)
    assert (found.policy, found.retry_after_s) == ("address-reading", 5.0)
    assert fields(found)["RateLimit"] == '"address-reading";r=0;t=5', "no later than Retry-After"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/api/v1/tickets", "reading"),
        ("POST", "/api/v1/tickets", "writing"),
        ("POST", "/v1/chat/completions", "inference"),
        ("GET", "/v1/models", "reading"),
        ("POST", "/api/v1/chat/conversations/1/messages", "inference"),
        ("POST", "/api/v1/chat/conversations", "writing"),
        ("POST", "/api/v1/auth/token", "signing_in"),
    ],
)
def test_classes(method: str, path: str, kind: str) -> None:
    assert class_of(method, path) == kind


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "counts"),
    [
        ("10.0.0.1", "1.2.3.4", 0, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.9", 2, "1.2.3.4"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", 2, "10.0.0.1"),
        ("10.0.0.1", "not an address", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "", 0, "1.2.3.4"),
    ],
)
def test_the_callers_own_word_does_not_count(peer: str, forwarded: str, hops: int, counts: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert address_of({"type": "http", "client": (peer, 1), "headers": headers}, hops) == counts
