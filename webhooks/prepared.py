"""A request that is ready to be sent, with what the network door must know beside its bytes."""

from __future__ import annotations

from collections.abc import Hashable

import requests


class Prepared(requests.PreparedRequest):
    """A `requests.PreparedRequest` with bounds of its own."""

    connect_timeout: float | None = None
    """Seconds until the connection is open, name resolution included; None: the adapter's."""
    timeout: float | None = None
    """Seconds for the whole request; None: the adapter's."""
    neighbours: Hashable = None
    """Who shares this request's part of the name resolution: its workspace's key."""
    masked_headers: frozenset[str] = frozenset()
    """Lower-case names of the headers whose values are secret: sent, but never recorded."""
