"""Where a URL leads, and what a look-up of its host name comes to. Nothing here waits for the network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..addresses import AddressPolicy, literal_address

# A name with more addresses than this is dialled at the first of them.
MAX_ADDRESSES = 32

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Destination:
    """The host and port that a URL names."""

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
    if not parts.hostname or parts.scheme not in _PORTS:
        raise ValueError("The URL names no host.")
    return Destination(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        is_address=literal_address(parts.hostname) is not None,
    )


@dataclass(frozen=True)
class Answer:
    """The addresses that may be dialled for a name, or why there are none."""

    addresses: tuple[str, ...] = ()
    """As libcurl's RESOLVE writes them: IPv6 in brackets."""
    error_kind: str = ""
    """Empty, "dns" or "refused_address"."""


# For a host that is written as an address.
NOTHING_TO_RESOLVE = Answer()
UNRESOLVED = Answer(error_kind="dns")


def answer_of(found: Iterable[tuple[Any, ...]], policy: AddressPolicy) -> Answer:
    """Return what the rows of `socket.getaddrinfo` come to: only what the policy permits, in their order."""
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))[:MAX_ADDRESSES]
    if not addresses:
        return UNRESOLVED
    permitted = tuple(_in_brackets(address) for address in addresses if is_permitted(address, policy))
    return Answer(permitted) if permitted else Answer(error_kind="refused_address")


def is_permitted(address: str, policy: AddressPolicy) -> bool:
    """Return whether a socket may be opened to an address, as the system writes it."""
    try:
        return policy.permits(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False


def _in_brackets(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def resolve_entry(destination: Destination, answer: Answer) -> str:
    """Return the answer as an entry of libcurl's RESOLVE. The "+" lets libcurl forget it after a minute."""
    return f"+{destination.host}:{destination.port}:{','.join(answer.addresses)}"
