"""What the outcomes of its attempts mean for a webhook: pause, probe, drip, disable. Pure.

    healthy ──failures──▶ failing ──more of them, for a while──▶ paused ──its end──▶ one probe
       ▲                     │                                     ▲                  │     │
       └──────success────────┘                                     └──────failure─────┘  success
       ▲                                                                                    │
       └────────────────────────── enough successes ◀── drip: a few at a time ◀─────────────┘

Failing for DISABLE_AFTER, or a 410, disables the webhook; only a person activates it again. Two failures months apart,
with no traffic between them, are no such time: it takes as many in a row as a pause does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

# A pause opens after this many failures in a row, and not before they have gone on for this long: deliveries
# that are in flight together and fail together say no more than one.
FAILURES_BEFORE_PAUSE = 5
FAILING_BEFORE_PAUSE = timedelta(seconds=30)
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=24)
# While the backlog drips, this many successes let one more delivery be in flight.
DRIP_STEP = 10


class Notice(str, Enum):
    """What the owners of a workspace are told, once in each episode of failure."""

    FAILING = "failing"  # deliveries are paused for the first time
    HALF = "half"  # half of the time until it is disabled has passed
    NEARLY = "nearly"  # nine tenths of it
    DISABLED = "disabled"
    RECOVERED = "recovered"


# How much the owners have been told: each level includes those before it.
_WARNINGS = ((3, 0.9, Notice.NEARLY), (2, 0.5, Notice.HALF))
TOLD_FAILING = 1


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a webhook fares. The fields are those of WebhookState."""

    consecutive_failures: int = 0
    failing_since: datetime | None = None
    paused_until: datetime | None = None
    pauses: int = 0
    drip: int | None = None
    drip_successes: int = 0
    told: int = 0


@dataclass(frozen=True)
class Change:
    """A health, and what the owners should hear of it."""

    health: Health
    notice: Notice | None = None


def after_success(health: Health, cap: int) -> Change:
    """Return what a success makes of it. `cap` is what may be in flight when all is well."""
    notice = Notice.RECOVERED if health.told else None
    drip = 1 if health.paused_until is not None else health.drip
    well = replace(health, consecutive_failures=0, failing_since=None, paused_until=None, told=0, drip=drip)
    return Change(_dripped(well, cap), notice)


def after_failure(health: Health, now: datetime, disable_after: timedelta) -> Change:
    """Return what a failure at `now` makes of it."""
    since = health.failing_since or now
    failing = replace(
        health, consecutive_failures=health.consecutive_failures + 1, failing_since=since, drip_successes=0
    )
    if failing.drip is not None:
        failing = replace(failing, drip=1)
    if now - since >= disable_after and failing.consecutive_failures >= FAILURES_BEFORE_PAUSE:
        return Change(replace(failing, told=max(failing.told, TOLD_FAILING)), Notice.DISABLED)
    if _must_pause(failing, now):
        failing = _paused(failing, now)
        if failing.told < TOLD_FAILING:
            return Change(replace(failing, told=TOLD_FAILING), Notice.FAILING)
    return reminded(failing, now, disable_after)


def after_gone(health: Health, now: datetime) -> Change:
    """Return what a 410 at `now` makes of it: nobody is there any more."""
    gone = replace(
        health,
        consecutive_failures=health.consecutive_failures + 1,
        failing_since=health.failing_since or now,
        told=max(health.told, TOLD_FAILING),
    )
    return Change(gone, Notice.DISABLED)


def after_activation(health: Health, now: datetime) -> Change:
    """Return it as it is when a person activates the webhook: if it had failed, one delivery is tried first.

    That the owners were told stays known, so that they hear of the recovery too, however often it is switched
    on and off before.
    """
    if not (health.failing_since or health.told):
        return Change(Health())
    return Change(Health(paused_until=now, told=min(health.told, TOLD_FAILING)))


def reminded(health: Health, now: datetime, disable_after: timedelta) -> Change:
    """Return it with the warning that has fallen due, if one has and was not yet given."""
    if health.failing_since is not None:
        for level, share, notice in _WARNINGS:
            if health.told < level and now - health.failing_since >= disable_after * share:
                return Change(replace(health, told=level), notice)
    return Change(health)


def pause_length(pauses: int) -> timedelta:
    """Return how long the pause lasts that follows `pauses` others: 1 min, doubling to 24 h."""
    return min(FIRST_PAUSE * 2 ** min(pauses, 16), LONGEST_PAUSE)


def _must_pause(failing: Health, now: datetime) -> bool:
    if failing.paused_until is not None:
        return failing.paused_until <= now  # the probe failed; else what was in flight when the pause began
    since = failing.failing_since or now
    return failing.consecutive_failures >= FAILURES_BEFORE_PAUSE and now - since >= FAILING_BEFORE_PAUSE


def _paused(failing: Health, now: datetime) -> Health:
    until = now + pause_length(failing.pauses)
    return replace(failing, paused_until=until, pauses=failing.pauses + 1, drip=None)


def _dripped(well: Health, cap: int) -> Health:
    if well.drip is None:
        return well
    successes = well.drip_successes + 1
    if successes < DRIP_STEP:
        return replace(well, drip_successes=successes)
    if well.drip + 1 >= cap:
        return replace(well, drip=None, drip_successes=0, pauses=0)
    return replace(well, drip=well.drip + 1, drip_successes=0)
