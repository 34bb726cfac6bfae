"""The headers that a webhook adds to its requests: what may stand in them, and how they are shown. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping

from django.views.decorators.debug import sensitive_variables

from .exceptions import InvalidRequest

# What stands for a stored value. No value can be this: it is not ASCII. It tells nothing of what it hides, not
# even how long it is, so that it can be shown to everybody who may see the webhook.
MASK = "••••"

MAX_HEADERS = 20
MAX_NAME_BYTES = 128
MAX_VALUE_BYTES = 4096
MAX_TOTAL_BYTES = 16 * 1024

# Set by us, by libcurl, or about the connection and not about the message (RFC 9110, 7.6.1).
RESERVED = frozenset(
    {
        "accept-encoding",
        "authorization",  # a field of its own
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-signature",
        "x-signature-next",
    }
)
RESERVED_PREFIXES = ("proxy-", "webhook-", "x-webhook-")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")  # RFC 9110, 5.5, without its obs-text
_BEARER = re.compile(r"bearer +[\x21-\x7e]+", re.IGNORECASE)
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)  # RFC 7617


def name_error(name: str) -> str | None:
    """Return why `name` cannot be a custom header, if so. Only a well-formed name is quoted."""
    if not _TOKEN.fullmatch(name) or len(name) > MAX_NAME_BYTES:
        return (
            "A header's name has letters, digits and hyphens, no spaces, and at most "
            f"{MAX_NAME_BYTES} characters."
        )
    if is_reserved(name):
        return f"The header {name} is set for you and cannot be changed."
    return None


def is_reserved(name: str) -> bool:
    """Return whether `name` is ours, in any case.

    An underscore counts as a hyphen: CGI, WSGI and PHP show a receiver the same variable for both.
    """
    plain = name.lower().replace("_", "-")
    return plain in RESERVED or plain.startswith(RESERVED_PREFIXES)


@sensitive_variables()
def value_error(value: str) -> str | None:
    """Return why `value` cannot be sent, as what follows "The value of …", without quoting it, if so."""
    if not _VALUE.fullmatch(value):
        return "must not be empty, and has only visible ASCII characters, with spaces and tabs between them."
    if len(value) > MAX_VALUE_BYTES:
        return f"has at most {MAX_VALUE_BYTES} characters."
    return None


@sensitive_variables()
def error(headers: Mapping[str, str]) -> str | None:
    """Return why `headers` cannot be sent, as a sentence that quotes no value, if so."""
    if len(headers) > MAX_HEADERS:
        return f"A webhook has at most {MAX_HEADERS} headers of its own."
    seen = set()
    for name, value in headers.items():
        message = name_error(name)
        if message:
            return message
        if name.lower() in seen:
            return f"The header {name} stands there twice: a name's case does not matter."
        seen.add(name.lower())
        rule = value_error(value)
        if rule:
            return f"The value of {name} {rule}"
    if sum(len(name) + len(value) + len(": \r\n") for name, value in headers.items()) > MAX_TOTAL_BYTES:
        return f"The headers have at most {MAX_TOTAL_BYTES // 1024} KB altogether."
    return None


@sensitive_variables()
def authorization_error(value: str) -> str | None:
    """Return why `value` cannot be sent as Authorization, if so, without quoting it."""
    if len(value) > MAX_VALUE_BYTES:
        return f"Authorization has at most {MAX_VALUE_BYTES} characters."
    if _BEARER.fullmatch(value):
        return None
    basic = _BASIC.fullmatch(value)
    if basic and _is_basic_credentials(basic.group(1)):
        return None
    return "Authorization is “Bearer ” and a token, or “Basic ” and the base64 of “user name:password”."


@sensitive_variables()
def _is_basic_credentials(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False


@sensitive_variables()
def basic(username: str, password: str) -> str:
    """Return the Authorization value of a user name, which has no colon, and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


@sensitive_variables()
def to_text(headers: Mapping[str, str]) -> str:
    """Return the JSON text that is stored for `headers`; "" for none."""
    return json.dumps(dict(headers), separators=(",", ":")) if headers else ""


@sensitive_variables()
def from_text(text: str) -> dict[str, str]:
    """Return the headers of a stored text. Raises InvalidRequest for what `to_text` did not write."""
    try:
        headers = json.loads(text) if text else {}
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise InvalidRequest("bad_request", "The webhook's headers cannot be read: enter them again.")
    return headers


@sensitive_variables()
def masked_authorization(value: str) -> str:
    """Return the kind of `value`, and the mask."""
    kind = value.partition(" ")[0].capitalize()
    return f"{kind} {MASK}" if kind in ("Bearer", "Basic") else MASK


def is_mask(value: str) -> bool:
    """Return whether `value` is what a stored value is shown as, and so asks for it to be kept."""
    return value in (MASK, f"Bearer {MASK}", f"Basic {MASK}")


@sensitive_variables()
def merged(sent: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """Return `sent` with what is stored in the place of each mask. No sent value is compared with a stored one.

    Raises ValueError for a mask where nothing is stored.
    """
    by_name = {name.lower(): value for name, value in stored.items()}
    for name, value in sent.items():
        if is_mask(value) and name.lower() not in by_name:
            shown = "A header" if name_error(name) else f"The header {name}"
            raise ValueError(f"{shown} has no stored value to keep: give its value.")
    return {name: by_name[name.lower()] if is_mask(value) else value for name, value in sent.items()}
