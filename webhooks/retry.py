"""Judging an attempt and deciding when, or whether, to try again. Pure: clock and randomness are passed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from enum import Enum

import requests

from .exceptions import InvalidRequest

LONGEST_RETRY_AFTER = timedelta(hours=24)


class Outcome(str, Enum):
    """What an attempt means for its delivery."""

    SUCCESS = "success"  # 2xx: the delivery has succeeded
    TRANSIENT = "transient"  # may work later: tried again until the attempts run out
    PERMANENT = "permanent"  # will never work as it is: the delivery ends
    GONE = "gone"  # 410: the delivery ends and the webhook is disabled


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Delays in seconds before the second, third, … attempt (the last repeats); jitter 0.2 means ± 20 %."""

    delays: Sequence[float]
    jitter: float


def judge(result: requests.Response | Exception) -> Outcome:
    """Return the outcome of one attempt: of a complete response, or of the error in its place.

    Redirects are never followed, so 3xx is a failure like 4xx and 5xx: the receiver may mend it.
    """
    if isinstance(result, InvalidRequest):
        return Outcome.PERMANENT
    if isinstance(result, Exception):
        return Outcome.TRANSIENT
    if 200 <= result.status_code <= 299:
        return Outcome.SUCCESS
    return Outcome.GONE if result.status_code == 410 else Outcome.TRANSIENT


def next_due_at(
    schedule: Schedule,
    made: int,
    max_attempts: int,
    now: datetime,
    jitter: float,
    retry_after: str | None = None,
) -> datetime | None:
    """Return when to try again after `made` attempts, or None when `max_attempts` are used up.

    `jitter` is a number from −1 to 1, drawn by the caller. `retry_after` (RFC 9110 10.2.3) can only lengthen
    the schedule's delay, to 24 hours at most.
    """
    if made >= max_attempts:
        return None
    planned = schedule.delays[min(made, len(schedule.delays)) - 1]
    delay = timedelta(seconds=planned * (1 + schedule.jitter * jitter))
    asked = parse_retry_after(retry_after, now)
    if asked is not None:
        delay = max(delay, min(asked, LONGEST_RETRY_AFTER))
    return now + delay


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the delay that a Retry-After header asks for, at most 24 h, or None when it says nothing usable."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return min(max(moment - now, timedelta(0)), LONGEST_RETRY_AFTER)
