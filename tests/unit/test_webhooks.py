"""Where webhooks may go, when they are tried again, what they can be about."""

import ast
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.webhooks import schedule
from app.webhooks.destinations import (
    LOOPBACK,
    DestinationRefused,
    Destinations,
    NameUnknown,
    is_public,
)
from app.webhooks.event_types import KINDS, PING, wants
from app.webhooks.schemas import EndpointDraft
from config.environment import CHECKOUT
from config.webhooks import WebhookSettings

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.10",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:2800:220:1::1",
    "2a00:1450::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_nobodys_business(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_judged_by_what_it_leads_to(address: ipaddress.IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        disguised = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert is_public(disguised) == is_public(address)


async def found(*addresses: str, also: tuple[str, ...] = ()) -> list[str]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    networks = [ipaddress.ip_network(each) for each in also]
    return [str(each) for each in await Destinations(resolve, networks).addresses("hooks.example.com", 443)]


async def test_one_private_address_refuses_the_name() -> None:
    assert await found("1.1.1.1", "2606:2800:220:1::1", "1.1.1.1") == ["1.1.1.1", "2606:2800:220:1::1"]
    for address in ("10.0.0.1", "::ffff:127.0.0.1", "fe80::1%eth0"):
        with pytest.raises(DestinationRefused):
            await found("1.1.1.1", address)
    with pytest.raises(NameUnknown):
        await found()


async def test_what_is_allowed_besides_is_no_more_than_said() -> None:
    assert await found("127.0.0.2", also=("127.0.0.2/32",)) == ["127.0.0.2"]
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
        with pytest.raises(DestinationRefused):
            await found(address, also=("127.0.0.2/32",))
    assert not any(ipaddress.ip_address("169.254.169.254") in each for each in LOOPBACK if each.version == 4)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://example.com/", "has to be a https:// URL"),
        ("https:///path", "has to be a https:// URL"),
        ("not a url", "pattern"),
        ("https://me:secret@example.com/", "user or password"),
        ("https://example.com:99999/", "no port"),
        ("https://example.com:0/", "no port"),
    ],
)
def test_urls_that_are_none(url: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        EndpointDraft(url=url, event_types=["*"])


def test_a_url_is_kept_in_one_form() -> None:
    draft = EndpointDraft(url="HTTPS://Bücher.example.com:443/a?b=c#d", event_types=["*"])
    assert draft.url == "https://xn--bcher-kva.example.com/a?b=c"


def test_event_types_that_nothing_is_published_as() -> None:
    with pytest.raises(ValidationError, match="nothing is published as ticket"):
        EndpointDraft(url="https://example.com/", event_types=["ticket.created", "ticket.exploded"])
    draft = EndpointDraft(url="https://example.com/", event_types=["user.*", "ticket.created", "user.*"])
    assert draft.event_types == ["ticket.created", "user.*"]


def test_what_a_subscription_covers() -> None:
    assert wants(["ticket.created"], "ticket.created")
    assert not wants(["ticket.created"], "ticket.changed")
    assert wants(["ticket.*"], "ticket.changed")
    assert not wants(["ticket.*"], "conversation.handed_over")
    assert wants(["*"], "conversation.handed_over")
    assert not wants(["*", "webhook.*"], PING)


SAYS = {"publish": (1, 3), "record": (None, 3), "note": (None, 3), "_said": (None, 3)}


def published() -> set[str]:
    """`aggregate.kind` of every call in the code that says both, or the kind of a ticket's event."""
    found = set()
    for file in (CHECKOUT / "app").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in SAYS:
                place, kind_at = SAYS[call.func.attr]
                values = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
                values += [None] * 5
                aggregate = values[place] if place else "ticket"
                if isinstance(aggregate, str) and isinstance(values[kind_at], str) and values[kind_at]:
                    found.add(f"{aggregate}.{values[kind_at]}")
    return found


def test_the_catalogue_has_what_is_published_and_nothing_else() -> None:
    known = {f"{aggregate}.{kind}" for aggregate, kinds in KINDS.items() for kind in kinds}
    assert published() - known - {PING} == set(), "add it to app/webhooks/event_types.py"
    code = "".join(file.read_text() for file in _code())
    gone = {name for name in known for kind in [name.partition(".")[2]] if f'"{kind}"' not in code}
    assert not gone


def _code() -> list[Path]:
    return [file for file in (CHECKOUT / "app").rglob("*.py") if file.name != "event_types.py"]


@given(st.integers(1, 9))
def test_each_attempt_is_later_by_its_delay_give_or_take(attempts: int) -> None:
    delay = schedule.next_attempt_s(attempts)
    wanted = schedule.DELAYS_S[attempts - 1]
    assert delay is not None
    assert wanted * 0.8 <= delay <= wanted * 1.2


def test_the_tenth_failure_is_the_last() -> None:
    assert schedule.next_attempt_s(10) is None
    assert 3 <= sum(schedule.DELAYS_S) / 86_400 <= 3.5


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1e9))
def test_an_endpoint_rests_longer_the_longer_it_fails(failures: int, wish: float | None) -> None:
    settings = WebhookSettings(rest_base_s=5, rest_max_s=300)
    pause = schedule.rest_s(failures, wish, settings)
    assert pause <= max(300, min(wish or 0, 3600))
    assert pause >= min(300, 5 * 2 ** min(failures - 1, 20)) * 0.8
    assert pause >= min(wish or 0, 3600)


def test_a_claim_outlives_the_attempt() -> None:
    with pytest.raises(ValidationError, match="claim_s must be more than"):
        WebhookSettings(claim_s=5, timeout_s=5)
