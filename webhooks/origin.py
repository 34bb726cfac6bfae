"""Which server a callback URL belongs to. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Return scheme, host and port (RFC 6454): "https://example.com", "http://example.com:8080".

    Neither path nor query nor credentials are in it, so it may stand in a log. Of what is no URL it is "".
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    if port is None or port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


def is_same(url: str, other: str) -> bool:
    """Return whether both lead to the same server, beyond doubt."""
    return bool(origin(url)) and origin(url) == origin(other)
