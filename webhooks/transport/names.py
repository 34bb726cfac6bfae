"""Where a URL leads, and what a look-up of its host name comes to. Nothing here waits for the network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..addresses import DEFAULT_PORTS, AddressPolicy, literal_address

# A name with more addresses than this is dialled at the first of them.
MAX_ADDRESSES = 32


@dataclass(frozen=True)
class Destination:
    """The scheme, host and port that a URL names."""

    scheme: str
    host: str
    """Lower case, without brackets."""
    port: int
    is_address: bool
    """The host is written as an address: there is nothing to look up."""


def destination_of(url: str) -> Destination:
    """Raises ValueError for a URL that names no host or is not http."""
    path = url.find("/", len("https://"))
    return _destination(url if path < 0 else url[:path])  # the rest differs from request to request


@lru_cache(maxsize=4096)
def _destination(origin: str) -> Destination:
    parts = urlsplit(origin)
    if not parts.hostname or parts.scheme not in DEFAULT_PORTS:
        raise ValueError("The URL names no host.")
    return Destination(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        is_address=literal_address(parts.hostname) is not None,
    )


@dataclass(frozen=True)
class Answer:
    """The addresses that may be dialled for a name, or why there are none."""

    addresses: tuple[str, ...] = ()
    """As libcurl's RESOLVE writes them: IPv6 in brackets."""
    error_kind: str = ""
    """Empty, "dns", "refused_address" or "egress_proxy"."""
    gateway: tuple[str, ...] = ()
    """The addresses of the egress proxy, if there is one: they alone are dialled."""


# For a host that is written as an address.
NOTHING_TO_RESOLVE = Answer()
UNRESOLVED = Answer(error_kind="dns")


def refusal_of(destination: Destination, policy: AddressPolicy) -> str:
    """Return the kind of error when the policy does not permit this scheme or port, else an empty string."""
    if not policy.permits_scheme(destination.scheme):
        return "bad_url"
    return "" if policy.permits_port(destination.port) else "refused_port"


def answer_of(found: Iterable[tuple[Any, ...]], policy: AddressPolicy, host: str = "") -> Answer:
    """Return what the rows of `socket.getaddrinfo` for `host` come to: what the policy permits, in their order."""
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))[:MAX_ADDRESSES]
    if not addresses:
        return UNRESOLVED
    permitted = tuple(in_brackets(address) for address in addresses if is_permitted(address, policy, host))
    return Answer(permitted) if permitted else Answer(error_kind="refused_address")


def is_permitted(address: str, policy: AddressPolicy, host: str) -> bool:
    """Return whether a socket may be opened to an address, as the system writes it, to which `host` leads."""
    try:
        return policy.permits(ipaddress.ip_address(address.partition("%")[0]), host)
    except ValueError:
        return False


def in_brackets(address: str) -> str:
    """Return an address as URLs and libcurl write it."""
    return f"[{address}]" if ":" in address else address


def resolve_entry(destination: Destination, answer: Answer) -> str:
    """Return the answer as an entry of libcurl's RESOLVE. The "+" lets libcurl forget it after a minute."""
    return f"+{destination.host}:{destination.port}:{','.join(answer.addresses)}"
