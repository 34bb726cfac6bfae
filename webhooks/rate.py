"""How many requests a rate limit lets through. Pure.

The generic cell rate algorithm (ITU-T I.371): one moment, `sendable_at`, is the whole memory. It says when the
next request may be sent; each request moves it on by 1 / rate. It may lie a little in the past, so that what a
busy moment missed is made up for, but no further: a long silence is no licence to flood.
"""

from __future__ import annotations

from datetime import datetime, timedelta

# How far in the past `sendable_at` counts: a quarter of a second's worth may be sent at once.
BURST = timedelta(seconds=0.25)


def allowed(sendable_at: datetime | None, rate: float, now: datetime) -> int:
    """Return how many requests may be sent now. `rate` is in requests per second; no memory: none was sent."""
    start = _counted_from(sendable_at, now)
    if start > now:
        return 0
    return int((now - start).total_seconds() * rate) + 1


def spent(sendable_at: datetime | None, rate: float, now: datetime, count: int) -> datetime:
    """Return `sendable_at` as it is once `count` requests are sent."""
    return _counted_from(sendable_at, now) + timedelta(seconds=count / rate)


def _counted_from(sendable_at: datetime | None, now: datetime) -> datetime:
    earliest = now - BURST
    return earliest if sendable_at is None else max(sendable_at, earliest)
