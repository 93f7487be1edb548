"""Peers of gRPC as clients: whose limits count for one, and what events say of who sent them."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

from rt_predictor.jobs.unnamed import UNNAMED, Unnamed

_IPV6_CLIENT_BITS = 64
"""Whoever has one IPv6 address has the others of its network."""


def peer_key(peer: str) -> str:
    """Return which client a peer is, e.g. "ipv4:192.0.2.7:47" or "ipv6:%5B2001:db8::1%5D:47"."""
    address = _address(peer)
    if address is None:
        return peer
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, _IPV6_CLIENT_BITS), strict=False))


def unnamed_client(peer: str) -> str:
    """Return what events say of a peer without credentials: a word of `Unnamed`, as a rule."""
    address = _address(peer)
    if address is None:
        return f"{UNNAMED}{peer.partition(':')[0]}"
    if address.is_loopback:
        return Unnamed.LOCAL.value
    return (Unnamed.IPV4 if isinstance(address, IPv4Address) else Unnamed.IPV6).value


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    """The address of a peer; None of one that has none, e.g. of a Unix socket."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    address = ip_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
