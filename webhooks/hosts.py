"""The host of a URL in its plain form, and the addresses that an address stands for. Pure."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata

import idna

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

# IPv6 whose last four bytes are an IPv4 address: IPv4-compatible, -mapped and -translated (RFC 4291 2.5.5,
# RFC 2765), NAT64 (RFC 6052, RFC 8215).
_ENDING_IN_IPV4 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
# NAT64 of a site's own, which may choose how long its prefix is (RFC 8215).
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
# Where the IPv4 address stands by the prefix's length, in bytes; byte 8 is always left out (RFC 6052 2.2).
_NAT64_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12))


def literal_address(host: str) -> IPAddress | None:
    """Return the address that `host` writes as a number, in any form that resolvers accept, or None for a name.

    2130706433, 0177.0.0.1, 0x7f000001 and 127.1 are all 127.0.0.1. Raises ValueError for a host that ends in
    a number and is no address (WHATWG URL, "ends in a number").
    """
    try:
        if host.startswith("[") or ":" in host:
            return ipaddress.IPv6Address(host.strip("[]"))
        if not _NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
            return None
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        raise ValueError("is neither a name nor an address") from None


def normalised_host(host: str) -> str:
    """Return `host` in the plain ASCII form that is dialled: folded, IDNA-encoded, without a trailing dot.

    IPv6 comes back in brackets. Raises ValueError with the end of a sentence that begins with the host.
    """
    folded = unicodedata.normalize("NFKC", host).lower().removesuffix(".")
    address = literal_address(folded) if folded else None
    if address is not None:
        return f"[{address}]" if address.version == 6 else str(address)
    if not folded.isascii():
        try:
            folded = idna.encode(folded, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError("is not a valid internationalised name") from None
    if len(folded) > 253 or not all(_LABEL.fullmatch(label) for label in folded.split(".")):
        raise ValueError("is not a valid host name")
    return folded


def plain_address(address: IPAddress) -> IPAddress:
    """Return `address` without its zone, and an IPv4-mapped one as IPv4: the verdict must be that of this form."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


def embedded_addresses(address: IPAddress) -> frozenset[IPAddress]:
    """Return every IPv4 address that a gateway may read in `address`: some of them may stand there by chance."""
    if isinstance(address, ipaddress.IPv4Address):
        return frozenset()
    packed = address.packed
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _ENDING_IN_IPV4):
        found.append(ipaddress.IPv4Address(packed[12:]))
    if address in _LOCAL_NAT64:
        found += [ipaddress.IPv4Address(bytes(packed[place] for place in places)) for places in _NAT64_PLACES]
    return frozenset(one for one in found if one is not None)
