"""Secrets and signatures. Pure: the payload's bytes in, header values out."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable

from django.views.decorators.debug import sensitive_variables

SECRET_PREFIX = "whsec_"  # noqa: S105  Standard Webhooks: how a symmetric secret is written down


def generate_secret(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return "whsec_" and the base64 of 32 random bytes (Standard Webhooks asks for 24 to 64)."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(32)).decode("ascii")


@sensitive_variables()
def x_signature(secret: str, payload: bytes) -> str:
    """Return the lowercase hex HMAC-SHA256 (RFC 2104) of `payload`, keyed by the secret's UTF-8 bytes.

    Equal to PHP's `hash_hmac('sha256', $payload, $secret)`. Raises ValueError for an empty secret:
    a receiver that lost its key would accept such a signature from anyone.
    """
    return hmac.digest(_text_key(secret), payload, "sha256").hex()


@sensitive_variables()
def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return "v1," and the base64 HMAC-SHA256 of `id.timestamp.body` (Standard Webhooks 1.0).

    `timestamp` is in whole seconds since the epoch. A "whsec_" secret is base64-decoded, any other is used
    as its UTF-8 bytes. Raises ValueError for an empty secret and for a "whsec_" one that is not base64.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(standard_key(secret), signed, "sha256")
    return "v1," + base64.b64encode(digest).decode("ascii")


@sensitive_variables()
def standard_key(secret: str) -> bytes:
    """Return the key bytes that Standard Webhooks derives from `secret`. Raises ValueError, see above."""
    if not secret.startswith(SECRET_PREFIX):
        return _text_key(secret)
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # "from None": the cause's message may quote the secret.
        raise ValueError("A secret that begins with whsec_ must go on in base64.") from None
    if not key:
        raise ValueError("A secret that begins with whsec_ must go on in base64.")
    return key


@sensitive_variables()
def verify_x_signature(secret: str, payload: bytes, received: str) -> bool:
    """Return whether `received` is the X-Signature of `payload`, compared in constant time."""
    return hmac.compare_digest(x_signature(secret, payload).encode(), received.encode())


def _text_key(secret: str) -> bytes:
    if not secret:
        raise ValueError("An empty secret signs nothing.")
    return secret.encode("utf-8")
