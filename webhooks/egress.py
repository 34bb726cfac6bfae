"""The proxy through which requests leave, read from its URL. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from django.views.decorators.debug import sensitive_variables

from .hosts import IPAddress, literal_address, normalised_host

_FORM = "http://[user:password@]host:port"


@dataclass(frozen=True, kw_only=True)
class EgressProxy:
    """An HTTP proxy that opens tunnels (CONNECT, RFC 9110 9.3.6)."""

    host: str
    """In the form of `normalised_host`: IPv6 in brackets."""
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    @sensitive_variables()
    def parse(cls, url: str) -> EgressProxy:
        """Read `EGRESS_PROXY`. Raises ValueError with a sentence that repeats no part of the URL."""
        parts = _split(url)
        try:
            host = normalised_host(parts.hostname or "")
        except ValueError as error:
            raise ValueError(f"names a host that {error}.") from None
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if any(ord(character) < 32 for character in username + password):
            raise ValueError("has a control character in the user name or password.")
        if ":" in username:
            raise ValueError("has a colon in the user name, which HTTP cannot carry (RFC 7617).")
        return cls(host=host, port=parts.port or 0, username=username, password=password)

    @property
    def address(self) -> IPAddress | None:
        """The proxy's address, if the URL has one in place of a name."""
        return literal_address(self.host)


@sensitive_variables()
def _split(url: str) -> SplitResult:
    # `urlsplit` drops these silently; what is left would be another URL than the one that was written.
    if not isinstance(url, str) or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(f"must be a URL like {_FORM}, without spaces.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be a URL like {_FORM}.") from None
    if parts.scheme != "http":
        raise ValueError(f"must begin with http://, like {_FORM}: only plain HTTP proxies are supported.")
    if not parts.hostname or not port:
        raise ValueError(f"must name a host and a port, like {_FORM}.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"must end after the port, like {_FORM}; write / ? # in a password as %2F %3F %23.")
    return parts
