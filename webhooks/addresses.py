"""Which URL, port and IP address may be called. It reads the settings, but never asks the network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from .conf import settings
from .exceptions import InvalidRequest
from .hosts import IPAddress, IPNetwork, embedded_addresses, literal_address, normalised_host, plain_address

__all__ = [
    "DEFAULT_PORTS",
    "MAX_URL_LENGTH",
    "METADATA",
    "AddressPolicy",
    "IPAddress",
    "checked_url",
    "configured_policy",
    "literal_address",
    "normalised_host",
]

MAX_URL_LENGTH = 2000
SCHEMES = ("https", "http")
DEFAULT_PORTS = {"https": 443, "http": 80}

# Never called, whatever is allowed: they hand out a cloud machine's credentials.
METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, Google, Oracle, DigitalOcean, OpenStack, …
        "fd00:ec2::254",  # AWS
        "169.254.170.2",  # AWS, containers
        "169.254.170.23",  # AWS, Kubernetes pods
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "fe80::a9fe:a9fe",  # OpenStack
        "192.0.0.192",  # Oracle
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure, the host's own agent
    )
)
# IPv6 that is routed on the internet today (RFC 4291, IANA): everything else is denied, which covers
# loopback, IPv4-compatible, NAT64, link-local, site-local and unique-local addresses.
_ROUTED_IPV6 = ipaddress.IPv6Network("2000::/3")
# Parts of it that hide another address or none (`is_global` calls some of them global).
_NOT_PUBLIC = tuple(
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


@dataclass(frozen=True)
class AddressPolicy:
    """Public addresses, and beside them only what is allowed; whatever is denied, never."""

    allowed: tuple[IPNetwork, ...] = ()
    """Networks that may be called although they are not public."""
    hosts: tuple[str, ...] = ()
    """Names that may be called wherever they lead, in the form of `normalised_host`; "*." stands for any below."""
    denied: tuple[IPNetwork, ...] = ()
    """Networks that are never called, whatever is allowed."""
    ports: frozenset[int] | None = None
    """The ports that may be called; None: all."""
    https_only: bool = False

    @classmethod
    def parse(
        cls,
        networks: Iterable[str] = (),
        *,
        hosts: Iterable[str] = (),
        denied: Iterable[str] = (),
        ports: Iterable[int] | None = None,
        https_only: bool = False,
    ) -> AddressPolicy:
        """Read the settings of these names. Raises ValueError: a network with host bits set, a host that is no name."""
        return cls(
            allowed=tuple(ipaddress.ip_network(network) for network in networks),
            hosts=tuple(map(_host_pattern, hosts)),
            denied=tuple(ipaddress.ip_network(network) for network in denied),
            ports=None if ports is None else frozenset(ports),
            https_only=https_only,
        )

    def permits(self, address: IPAddress, host: str = "") -> bool:
        """Return whether a socket may be opened to `address`, to which the name `host` leads."""
        address = plain_address(address)
        # A gateway would carry the packet to the address inside: what is denied there is denied here.
        if any(self._denies(one) for one in (address, *embedded_addresses(address))):
            return False
        return is_public(address) or _within(address, self.allowed) or self._allows_host(host)

    def permits_port(self, port: int) -> bool:
        return self.ports is None or port in self.ports

    def permits_scheme(self, scheme: str) -> bool:
        return scheme == "https" or (scheme == "http" and not self.https_only)

    def _denies(self, address: IPAddress) -> bool:
        return address in METADATA or _within(address, self.denied)

    def _allows_host(self, host: str) -> bool:
        host = host.lower().removesuffix(".")
        return any(
            # The dot stays on, so that "*.example.com" is neither example.com nor evilexample.com.
            (host.endswith(pattern[1:]) and len(host) >= len(pattern))
            if pattern.startswith("*.")
            else host == pattern
            for pattern in self.hosts
        )


def configured_policy() -> AddressPolicy:
    """Return the policy that `WEBHOOKS` asks for. Raises ValueError, see `AddressPolicy.parse`."""
    ports = settings.ALLOWED_PORTS
    return _policy(
        tuple(settings.ALLOWED_NETWORKS),
        tuple(settings.ALLOWED_HOSTS),
        tuple(settings.DENIED_NETWORKS),
        None if ports is None else tuple(ports),
        settings.HTTPS_ONLY,
    )


@lru_cache(maxsize=8)
def _policy(
    networks: tuple[str, ...],
    hosts: tuple[str, ...],
    denied: tuple[str, ...],
    ports: tuple[int, ...] | None,
    https_only: bool,
) -> AddressPolicy:
    return AddressPolicy.parse(networks, hosts=hosts, denied=denied, ports=ports, https_only=https_only)


def _host_pattern(text: str) -> str:
    """Return a name, or "*." and a name, in its plain form. Raises ValueError for anything else."""
    prefix = "*." if text.startswith("*.") else ""
    name = normalised_host(text.removeprefix(prefix))
    if literal_address(name) is not None:
        raise ValueError("is an address, not a name")
    return prefix + name


def is_public(address: IPAddress) -> bool:
    """Return whether `address` is unicast and routed on the internet."""
    if address.version == 6 and address not in _ROUTED_IPV6:
        return False
    return address.is_global and not address.is_multicast and not _within(address, _NOT_PUBLIC)


def _within(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def checked_url(url: str, policy: AddressPolicy) -> str:
    """Return `url` as ASCII, ready to be sent. Raises InvalidRequest with a sentence that says what to mend.

    A host written as an address is checked here and again when it is dialled; a name only when it is dialled.
    """
    parts = _split(url)
    if not policy.permits_scheme(parts.scheme):
        raise InvalidRequest(
            "bad_url", "The URL must begin with https://: webhooks are sent over encrypted connections only."
        )
    try:
        host = normalised_host(parts.hostname or "")
    except ValueError as error:
        raise InvalidRequest("bad_url", f"The host “{parts.hostname}” {error}.") from None
    _check_destination(host, parts.port or DEFAULT_PORTS[parts.scheme], policy)
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, netloc, _escaped(parts.path or "/"), _escaped(parts.query), ""))


def _check_destination(host: str, port: int, policy: AddressPolicy) -> None:
    address = literal_address(host)
    if address is not None and not policy.permits(address):
        raise InvalidRequest(
            "refused_address",
            "This address is not public, or the operator has barred it. Use a host that has a public address, "
            "or ask the operator to allow this one.",
        )
    if not policy.permits_port(port):
        permitted = ", ".join(map(str, sorted(policy.ports or ())))
        raise InvalidRequest(
            "refused_port", f"Webhooks are not sent to port {port}. Use one of these ports: {permitted}."
        )


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
