"""Where a webhook may go: the public internet, decided on the address that is then connected to.

A name is looked up once for each attempt, every address it has is checked, and the caller connects to what
was checked, so that a name whose address changes in between (DNS rebinding) leads nowhere else. What it does
not do: know which public addresses are ours; the cluster's network policy is there for that.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, as text, best first; `OSError` where there are none."""

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))

REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # RFC 6598, carrier-grade NAT; Alibaba's metadata is 100.100.100.200
        "168.63.129.16/32",  # Azure's own services for a machine, at a public address
        "192.0.0.0/24",  # RFC 6890; Oracle's metadata is 192.0.0.192
        "192.88.99.0/24",  # RFC 7526, 6to4 relays
        "::/96",  # RFC 4291, 2.5.5.1: IPv4 in IPv6 of old
        "64:ff9b:1::/48",  # RFC 8215: NAT64 of one's own network
        "2001::/23",  # RFC 2928, Teredo among them, which tunnels to any IPv4 address
        "2002::/16",  # RFC 3056, 6to4: the same
        "3fff::/20",  # RFC 9637, documentation
        "5f00::/16",  # RFC 9602, segment routing
        "fec0::/10",  # RFC 3879, site-local
    )
)
"""Beside everything that IANA's registries do not call global."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that it leads to."""


class DestinationRefused(ValueError):
    """The receiver's name leads to an address that is not public."""


class NameUnknown(ValueError):
    """The receiver's name has no address."""


class Destinations:
    """`also` names networks that are allowed although they are not public."""

    def __init__(self, resolve: Resolver, also: Sequence[Network] = ()) -> None:
        self._resolve = resolve
        self._also = also

    async def addresses(self, host: str, port: int) -> list[Address]:
        """What may be connected to, best first. One address that is refused refuses the name."""
        try:
            texts = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # an over-long label is a UnicodeError
            raise NameUnknown from error
        found = [ipaddress.ip_address(text) for text in texts if "%" not in text]
        if len(found) < len(texts) or not all(self.allows(address) for address in found):
            raise DestinationRefused
        if not found:
            raise NameUnknown
        return list(dict.fromkeys(found))

    def allows(self, address: Address) -> bool:
        inner = _inner(address)
        if any(inner.version == network.version and inner in network for network in self._also):
            return True
        return is_public(inner)


def is_public(address: Address) -> bool:
    """Whether anybody's packets to `address` end at the same public machine."""
    inner = _inner(address)
    if any(inner.version == network.version and inner in network for network in REFUSED):
        return False
    return inner.is_global and not inner.is_multicast


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (RFC 4291 mapped, RFC 6052 NAT64), or itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


class SystemResolver:
    """The machine's own resolver, on threads of its own: a name server that hangs holds up no other work."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [str(each[4][0]) for each in found]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
