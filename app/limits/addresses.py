"""Where a request comes from, as far as it can be believed."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

UNKNOWN = "unknown"


def address_of(scope: Scope, forwarded_hops: int) -> str:
    """The client's address; of IPv6 the /64, since one customer has all of that.

    With `forwarded_hops` proxies of our own in front that each add to `X-Forwarded-For`, the entry that the
    outermost of them wrote counts; what stands before it was written by the caller. With 0 it is the peer.
    """
    peer = scope["client"][0] if scope.get("client") else UNKNOWN
    if forwarded_hops == 0:
        return _network(peer)
    said = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in said.split(",")]
    return _network(hops[-forwarded_hops] if len(hops) >= forwarded_hops and all(hops) else peer)


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
