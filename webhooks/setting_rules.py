"""What each setting of `WEBHOOKS` may be, and the sentence for one that is not. No setting's value is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from .addresses import AddressPolicy
from .authorities import read_authorities
from .conf import settings
from .egress import EgressProxy
from .hosts import normalised_host
from .limits import LONGEST_OVERLAP

# Added to today as seconds it is still a date: infinity, as another way to write "never", is none.
_LARGEST = 10**10
_POSITIVE = "must be a number above 0, and at most 10,000,000,000."
_COUNTS = ("CONCURRENCY", "IN_FLIGHT_PER_WEBHOOK", "RESPONSE_BODY_LIMIT", "RESPONSE_HEADERS_LIMIT")
_DURATIONS = ("CONNECT_TIMEOUT", "TIMEOUT", "LEASE", "DRAIN_BUDGET", "DISABLE_AFTER")


def setting_problems() -> Iterator[tuple[str, str]]:
    """Yield the name of each setting that is wrong, with what follows the name in a sentence."""
    for name, test, problem in _TESTS:
        if not test(getattr(settings, name)):
            yield name, problem
    for name, explain in _EXPLAINED:
        explanation = explain(getattr(settings, name))
        if explanation:
            yield name, explanation


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return _is_positive(value) and isinstance(value, int)


def _is_listed(value: Any) -> bool:
    """A string can be gone through too, by character: never what was meant."""
    return isinstance(value, (list, tuple, set, frozenset))


def _is_schedule(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(_is_number(v) and v >= 0 for v in value)


def _are_networks(value: Any) -> bool:
    try:
        AddressPolicy.parse(value)
    except (TypeError, ValueError):
        return False
    return _is_listed(value)


def _are_hosts(value: Any) -> bool:
    try:
        AddressPolicy.parse(hosts=value)
    except (AttributeError, TypeError, ValueError):
        return False
    return _is_listed(value)


def _are_ports(value: Any) -> bool:
    return value is None or (
        _is_listed(value) and bool(value) and all(_is_count(port) and port <= 65535 for port in value)
    )


def _is_overlap(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= LONGEST_OVERLAP


def _is_origin(value: Any) -> bool:
    if value is None:
        return True
    try:
        parts = urlsplit(value)
        normalised_host(parts.hostname or "")
        return (
            f"{parts.scheme}://{parts.netloc}" == value
            and parts.scheme in ("http", "https")
            and ("@" not in value and parts.port != 0)
        )
    except (AttributeError, TypeError, ValueError):
        return False


@sensitive_variables()
def _are_keys(value: Any) -> bool:
    try:
        return value is None or (_is_listed(value) and bool([Fernet(key) for key in value]))
    except (TypeError, ValueError):
        return False


def _can_be_imported(value: Any) -> bool:
    try:
        return import_string(value) is not None
    except (ImportError, TypeError, AttributeError):
        return False


def _bundle_problem(value: Any) -> str:
    if value is None:
        return ""
    try:
        read_authorities(value)
    except OSError as error:
        return f"names a file that cannot be read ({error.strerror or type(error).__name__})."
    except (TypeError, ValueError):
        return "must be the path of a PEM file with at least one certificate, none of them damaged."
    return ""


@sensitive_variables()
def _proxy_problem(value: Any) -> str:
    try:
        if value is not None:
            EgressProxy.parse(value)
    except ValueError as error:
        return str(error)
    return ""


_TESTS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    *((name, _is_positive, _POSITIVE) for name in _DURATIONS),
    *((name, _is_count, "must be a whole number above 0.") for name in _COUNTS),
    ("RETRY_SCHEDULE", _is_schedule, "must be a list of delays in seconds, none of them negative."),
    ("RETRY_JITTER", lambda value: _is_number(value) and 0 <= value < 1, "must be from 0 to below 1."),
    ("ALLOWED_NETWORKS", _are_networks, "must be a list of networks like 10.1.0.0/16."),
    ("DENIED_NETWORKS", _are_networks, "must be a list of networks like 10.1.0.0/16."),
    (
        "ALLOWED_HOSTS",
        _are_hosts,
        "must be a list of host names like crm.example.internal or *.example.internal: without scheme, port or "
        "path. Addresses belong in ALLOWED_NETWORKS.",
    ),
    (
        "ALLOWED_PORTS",
        _are_ports,
        "must be a list of ports from 1 to 65535 like [443, 8443], or None for all.",
    ),
    ("HTTPS_ONLY", lambda value: isinstance(value, bool), "must be True or False."),
    ("ROTATION_OVERLAP", _is_overlap, "must be a number of seconds from 0 to 2592000 (30 days)."),
    ("BASE_URL", _is_origin, "must be this site's scheme and host like https://app.example.com, or None."),
    ("ENCRYPTION_KEYS", _are_keys, "must be a list of Fernet keys (Fernet.generate_key())."),
    ("RETENTION_DAYS", lambda value: value is None or _is_positive(value), f"{_POSITIVE[:-1]}, or None."),
    ("WAKE", lambda value: value in ("django-q2", "notify"), 'must be "django-q2" or "notify".'),
    ("ACCESS", _can_be_imported, "must be the dotted path of an access class."),
    (
        "QUOTAS",
        lambda value: value is None or _can_be_imported(value),
        "must be the dotted path of a function that returns a workspace's Quota, or None.",
    ),
    (
        "WEBHOOK_PAGE",
        lambda value: value is None or _can_be_imported(value),
        "must be the dotted path of a function that returns the path of a webhook's page, or None.",
    ),
    ("ENCODERS", lambda value: all(map(_can_be_imported, value.values())), "must map to dotted paths."),
)
_EXPLAINED: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("CA_BUNDLE", _bundle_problem),
    ("EGRESS_PROXY", _proxy_problem),
)
