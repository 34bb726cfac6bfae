"""What has become of a delivery, in words."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from ..models import Attempt, Delivery
from ..standing import clock, paused_until, remaining


def next_attempt(delivery: Delivery, now: datetime) -> str:
    """Return when a delivery is sent next, or why it is not; "–" for one that has ended."""
    if delivery.status != Delivery.Status.PENDING:
        return "–"
    if _is_in_flight(delivery, now):
        return _("being sent now")
    return waiting(delivery, now) or _due(delivery.due_at, now)


def waiting(delivery: Delivery, now: datetime) -> str:
    """Return why the webhook's state holds a pending delivery back; "" when it does not."""
    webhook = delivery.webhook
    if _is_in_flight(delivery, now):
        return ""
    if not webhook.is_active and webhook.deleted_at is None:
        return _("waiting: webhook is inactive")
    until = paused_until(webhook, now)
    if until is None or (delivery.due_at is not None and delivery.due_at >= until):
        return ""
    return _("waiting: webhook is paused until %(time)s") % {"time": clock(until, now)}


def _is_in_flight(delivery: Delivery, now: datetime) -> bool:
    return delivery.claim is not None and delivery.due_at is not None and delivery.due_at > now


def _due(due_at: datetime | None, now: datetime) -> str:
    # Parked for a webhook that is sent to again: the next sweep finds it.
    if due_at is None or due_at <= now:
        return _("due now")
    return _("in %(duration)s") % {"duration": remaining(due_at, now)}


def reason(delivery: Delivery, latest: Attempt | None, now: datetime) -> str:
    """Return, in one sentence, why a delivery stands where it stands."""
    if delivery.status == Delivery.Status.SUCCEEDED:
        if latest is None or latest.status_code is None:
            return _("The receiver accepted it.")
        return _("The receiver answered %(code)s.") % {"code": latest.status_code}
    if delivery.status == Delivery.Status.PENDING:
        return _pending(delivery, latest, now)
    try:
        because = str(Delivery.EndedBecause(delivery.ended_because).label)
    except ValueError:
        because = _("no reason was recorded")
    verb = _("Given up") if delivery.status == Delivery.Status.FAILED else _("Cancelled")
    return f"{verb}: {because}. {latest.error if latest else ''}".strip()


def _pending(delivery: Delivery, latest: Attempt | None, now: datetime) -> str:
    following = waiting(delivery, now) or _("next attempt: %(when)s") % {"when": next_attempt(delivery, now)}
    if delivery.event.held_until is not None and delivery.event.held_until > now:
        return _("Above the workspace’s quota of events per minute; %(following)s.") % {
            "following": following
        }
    if latest is None or delivery.attempts_made == 0:
        return _("Not attempted yet; %(following)s.") % {"following": following}
    error = latest.error.rstrip(".") or _("The last attempt failed")
    return _("%(error)s; %(following)s.") % {"error": error, "following": following}
