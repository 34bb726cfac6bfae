"""The certificate authorities that a project trusts of its own, in a PEM file."""

from __future__ import annotations

import ssl
from pathlib import Path


def read_authorities(path: str | Path) -> bytes:
    """Return the content of a PEM file with at least one certificate.

    Raises OSError when it cannot be read, and ValueError when TLS could not use it.
    """
    content = Path(path).read_bytes()
    try:
        # What stands around the certificates may be in any encoding.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=content.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError):
        raise ValueError("has no certificate, or one that is damaged") from None
    return content
