"""The bounds and the pace that a webhook may set for itself. Pure.

Each `…_error` returns why a value cannot be taken, as a sentence for the person who gave it, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

# The columns of a webhook that this module is about.
FIELDS = ("timeout", "connect_timeout", "retry_schedule", "rate_limit", "max_in_flight", "ordered")

MAX_DELAYS = 20
SHORTEST_DELAY, LONGEST_DELAY = 1, 24 * 3600
SLOWEST_RATE, FASTEST_RATE = 0.01, 1000
# How long a former secret may sign beside the new one; seconds.
LONGEST_OVERLAP = 30 * 24 * 3600

NUMBER = (int, float)


def timeout_error(seconds: object, longest: float) -> str | None:
    """`longest` is what the project allows, in seconds."""
    if isinstance(seconds, NUMBER) and 0 < seconds <= longest:
        return None
    return f"Give more than 0 and at most {longest:g} seconds."


def retry_schedule_error(delays: object) -> str | None:
    """`delays` are the seconds before the second, third, … attempt."""
    if not isinstance(delays, list) or not 1 <= len(delays) <= MAX_DELAYS:
        return f"Give a list of 1 to {MAX_DELAYS} delays in seconds."
    if all(_is_delay(delay) for delay in delays):
        return None
    return f"Each delay is a number from {SHORTEST_DELAY} to {LONGEST_DELAY} seconds (1 day)."


def rate_limit_error(rate: object) -> str | None:
    """`rate` is in requests per second."""
    if isinstance(rate, NUMBER) and SLOWEST_RATE <= rate <= FASTEST_RATE:
        return None
    return f"Give between {SLOWEST_RATE:g} and {FASTEST_RATE:g} requests per second."


def max_in_flight_error(count: object, most: int) -> str | None:
    """`most` is what the project allows."""
    if isinstance(count, int) and 1 <= count <= most:
        return None
    return f"Give a whole number between 1 and {most}."


def within(seconds: float | None, longest: float) -> float | None:
    """Return a stored timeout as it may be used: the project's bound may have been lowered since.

    None: the project's. So it is, too, for what no form would have taken.
    """
    return None if seconds is None or not 0 < seconds <= longest else seconds


def delays_of(schedule: object, default: Sequence[float]) -> Sequence[float]:
    """Return a stored retry schedule as it may be used: `default`, too, for what no form would have taken."""
    return default if retry_schedule_error(schedule) else cast("list[float]", schedule)


def usable_rate(rate: float | None) -> float | None:
    """Return a stored rate limit as it may be used; None, no limit, for what no form would have taken."""
    return None if rate_limit_error(rate) else rate


def _is_delay(value: object) -> bool:
    # JSON's true is a number in Python.
    if not isinstance(value, NUMBER) or isinstance(value, bool):
        return False
    return SHORTEST_DELAY <= value <= LONGEST_DELAY
