"""What tests tell the queue of an attempt that nobody made."""

from webhooks.models import Attempt
from webhooks.queue import Verdict
from webhooks.retry import Outcome


def verdict(claimed, delivery, status="succeeded", **changes):
    attempt = Attempt(
        delivery_id=delivery.pk,
        number=delivery.attempt_count + 1,
        started_at=claimed.now,
        duration_ms=1,
        outcome="success",
    )
    values = {"outcome": Outcome.SUCCESS, "status": status, "ended_because": "", "due_at": None}
    return Verdict(**{"claim": claimed.token, "attempt": attempt, **values, **changes})
