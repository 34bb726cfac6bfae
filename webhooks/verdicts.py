"""Judge: what a result means for its delivery. It reads the settings; clock and randomness are passed in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import requests

from . import error_kinds, limits, retry
from .attempts import attempt_of
from .conf import settings
from .models import Delivery
from .queue import Claim, Verdict
from .retry import Outcome

# When an attempt that failed through our own fault is made again; it is not counted.
OUR_FAULT_DELAY = timedelta(seconds=60)


class Result(NamedTuple):
    """What came of one request, or of the try to build it."""

    claim: Claim
    delivery: Delivery
    request: requests.PreparedRequest | None
    """None: it could not be built."""
    result: requests.Response | Exception
    started: float
    """Readings of the monotonic clock."""
    finished: float


def judged(one: Result, jitter: float) -> Verdict:
    """Return what the result means for its delivery. `jitter` is a number from −1 to 1, drawn by the caller."""
    outcome = retry.judge(one.result)
    attempt = attempt_of(
        one.delivery,
        one.request,
        one.result,
        outcome,
        started_at=one.claim.moment(one.started),
        duration=one.finished - one.started,
    )
    now = one.claim.moment(one.finished)
    due_at = None
    if outcome is Outcome.TRANSIENT:
        ours = error_kinds.is_ours(attempt.error_kind)
        due_at = _after_our_fault(now, jitter) if ours else _next_due_at(one, now, jitter)
    status, because = _ending(outcome, due_at)
    return Verdict(
        claim=one.claim.token,
        attempt=attempt,
        outcome=outcome,
        status=status,
        ended_because=because,
        due_at=due_at,
    )


def _after_our_fault(now: datetime, jitter: float) -> datetime:
    return now + OUR_FAULT_DELAY * (1 + settings.RETRY_JITTER * jitter)


def _next_due_at(one: Result, now: datetime, jitter: float) -> datetime | None:
    webhook = one.delivery.webhook
    delays = limits.delays_of(webhook.retry_schedule, settings.RETRY_SCHEDULE)
    return retry.next_due_at(
        retry.Schedule(delays=delays, jitter=settings.RETRY_JITTER),
        one.delivery.attempts_made + 1,
        webhook.max_attempts,
        now,
        jitter,
        _retry_after(one.result),
    )


def _ending(outcome: Outcome, due_at: datetime | None) -> tuple[str, str]:
    if outcome is Outcome.SUCCESS:
        return Delivery.Status.SUCCEEDED, ""
    if due_at is not None:
        return Delivery.Status.PENDING, ""
    reasons = Delivery.EndedBecause
    because = {Outcome.PERMANENT: reasons.PERMANENT, Outcome.GONE: reasons.GONE}
    return Delivery.Status.FAILED, because.get(outcome, reasons.EXHAUSTED)


def _retry_after(result: requests.Response | Exception) -> str | None:
    if isinstance(result, requests.Response) and result.status_code in (429, 503):
        return result.headers.get("Retry-After")
    return None
