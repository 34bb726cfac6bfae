"""A request on its way, with the time that it still has."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import requests

from .bounds import Bounds
from .names import Destination, destination_of

Key = Any


@dataclass(slots=True)
class Outgoing:
    """One request from the moment it is taken. Times are readings of the monotonic clock."""

    key: Key
    request: requests.PreparedRequest
    destination: Destination
    connect_until: float
    until: float

    @property
    def neighbours(self) -> Hashable:
        """Whose share of the name resolution it uses, see `webhooks.prepared`."""
        return getattr(self.request, "neighbours", None)


def outgoing_of(key: Key, request: requests.PreparedRequest, bounds: Bounds) -> Outgoing:
    """Start the clock of a request. Its own bounds count as far as they are closer than the adapter's.

    Raises ValueError for a URL that leads nowhere.
    """
    now = time.monotonic()
    timeout = _closer(getattr(request, "timeout", None), bounds.timeout)
    connect_timeout = _closer(getattr(request, "connect_timeout", None), bounds.connect_timeout)
    return Outgoing(
        key=key,
        request=request,
        destination=destination_of(request.url or ""),
        connect_until=now + min(connect_timeout, timeout),
        until=now + timeout,
    )


def _closer(own: float | None, limit: float) -> float:
    return limit if own is None else min(own, limit)
