"""What a request may cost, and where it may go."""

from __future__ import annotations

from dataclasses import dataclass

from ..addresses import AddressPolicy, configured_policy
from ..conf import settings
from ..egress import EgressProxy


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a request may cost, and where it may go."""

    policy: AddressPolicy
    connect_timeout: float
    """Seconds until the connection, TLS included, is open."""
    timeout: float
    """Seconds for the whole request."""
    body_limit: int
    """Bytes of a response's body that are read; the rest is cut off."""
    headers_limit: int
    """Bytes of a response's headers that are kept."""
    concurrency: int
    """Requests in flight at once."""
    ca_bundle: str | None = None
    """Path of a PEM file with authorities that are trusted beside the public ones."""
    proxy: EgressProxy | None = None
    """Through which every request leaves; None: none is used, whatever the environment says."""

    @classmethod
    def configured(cls) -> Bounds:
        return cls(
            policy=configured_policy(),
            connect_timeout=settings.CONNECT_TIMEOUT,
            timeout=settings.TIMEOUT,
            body_limit=settings.RESPONSE_BODY_LIMIT,
            headers_limit=settings.RESPONSE_HEADERS_LIMIT,
            concurrency=settings.CONCURRENCY,
            ca_bundle=None if settings.CA_BUNDLE is None else str(settings.CA_BUNDLE),
            proxy=None if settings.EGRESS_PROXY is None else EgressProxy.parse(settings.EGRESS_PROXY),
        )
