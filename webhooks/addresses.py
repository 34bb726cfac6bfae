"""Which URL, port and IP address may be called. Pure: nothing here asks the network."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import idna

from .conf import settings
from .exceptions import InvalidRequest

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 2000
SCHEMES = ("https", "http")

# Never called, whatever is allowed: they hand out a cloud machine's credentials.
METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
# IPv6 that is routed on the internet today (RFC 4291, IANA): everything else is denied, which covers
# loopback, IPv4-compatible, NAT64, link-local, site-local and unique-local addresses.
_ROUTED_IPV6 = ipaddress.IPv6Network("2000::/3")
# Parts of it that hide another address or none (`is_global` calls some of them global).
_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "192.88.99.0/24",
        "168.63.129.16/32",
    )
)

_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True)
class AddressPolicy:
    """Public addresses, and beside them only the `allowed` networks."""

    allowed: tuple[IPNetwork, ...] = ()

    @classmethod
    def parse(cls, networks: Iterable[str]) -> AddressPolicy:
        """Read CIDR networks. Raises ValueError for one that is not a network (host bits set included)."""
        return cls(tuple(ipaddress.ip_network(network) for network in networks))

    def permits(self, address: IPAddress) -> bool:
        """Return whether a socket may be opened to `address`."""
        address = unmapped(address)
        if address in METADATA:
            return False
        return is_public(address) or any(
            address.version == network.version and address in network for network in self.allowed
        )


def configured_policy() -> AddressPolicy:
    """Return the policy that `WEBHOOKS` asks for. Raises ValueError, see `AddressPolicy.parse`."""
    return _policy(tuple(settings.ALLOWED_NETWORKS))


@lru_cache(maxsize=8)
def _policy(networks: tuple[str, ...]) -> AddressPolicy:
    return AddressPolicy.parse(networks)


def unmapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped one: the verdict must be that of the plain form."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: IPAddress) -> bool:
    """Return whether `address` is unicast and routed on the internet."""
    if address.version == 6 and address not in _ROUTED_IPV6:
        return False
    if any(address.version == network.version and address in network for network in _DENIED):
        return False
    return address.is_global and not address.is_multicast


def literal_address(host: str) -> IPAddress | None:
    """Return the address that `host` writes as a number, in any form that resolvers accept, or None for a name.

    2130706433, 0177.0.0.1, 0x7f000001 and 127.1 are all 127.0.0.1. Raises ValueError for a host that ends in
    a number and is no address (WHATWG URL, "ends in a number").
    """
    if host.startswith("[") or ":" in host:
        return ipaddress.IPv6Address(host.strip("[]"))
    if not _NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
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


def checked_url(url: str, policy: AddressPolicy) -> str:
    """Return `url` as ASCII, ready to be sent. Raises InvalidRequest with a sentence that says what to mend.

    A host written as an address is checked here and again when it is dialled; a name only when it is dialled.
    """
    parts = _split(url)
    try:
        host = normalised_host(parts.hostname or "")
    except ValueError as error:
        raise InvalidRequest("bad_url", f"The host “{parts.hostname}” {error}.") from None
    address = literal_address(host)
    if address is not None and not policy.permits(address):
        raise InvalidRequest(
            "refused_address", "This address is not public. Webhooks are sent only to public addresses."
        )
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, netloc, _escaped(parts.path or "/"), _escaped(parts.query), ""))


def _split(url: str) -> SplitResult:
    """Return the URL's parts after the checks that need no host."""
    if len(url) > MAX_URL_LENGTH:
        raise InvalidRequest("bad_url", f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if any(character <= " " or character in "\\\x7f" or character.isspace() for character in url):
        raise InvalidRequest("bad_url", "The URL has a space, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest("bad_url", "This is not a valid URL.") from None
    if parts.scheme not in SCHEMES:
        raise InvalidRequest("bad_url", "The URL must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise InvalidRequest("bad_url", "The URL must not carry a user name or password.")
    if "#" in url:
        raise InvalidRequest(
            "bad_url", "The URL must not have a fragment (#…): it is never sent to a server."
        )
    if not parts.hostname or port == 0:
        raise InvalidRequest("bad_url", "The URL must name a host, and a port from 1 to 65535 if any.")
    return parts


def _escaped(text: str) -> str:
    """Percent-encode what a URL cannot hold as it is (RFC 3986 2, RFC 3987 3.1), and nothing twice."""
    return quote(text, safe="/?:@!$&'()*+,;=%[]-._~")
