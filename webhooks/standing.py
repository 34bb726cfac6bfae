"""How a webhook stands, as people are told: one word, what is wrong, and what happens next. Pure.

Times are written in the current time zone, which is the reader's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils import timezone
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .error_kinds import ErrorKind, explain

if TYPE_CHECKING:
    from .models import Webhook, WebhookState


class Kind(TextChoices):
    ACTIVE = "active", gettext_lazy("Active")  # nothing is wrong
    FAILING = "failing", gettext_lazy("Failing")  # its latest attempts failed; it is still sent to
    PAUSED = "paused", gettext_lazy("Paused")  # nothing is sent for a while
    RECOVERING = "recovering", gettext_lazy("Recovering")  # after a pause: one is tried, then a few at a time
    DISABLED = "disabled", gettext_lazy("Disabled")  # switched off by the machine
    INACTIVE = "inactive", gettext_lazy("Inactive")  # switched off by a person


@dataclass(frozen=True)
class Standing:
    kind: Kind
    sentence: str
    """How it stands, and since when."""
    following: str = ""
    """What happens next; empty when that goes without saying."""

    @property
    def label(self) -> str:
        return str(self.kind.label)

    @property
    def is_well(self) -> bool:
        """Whether it needs nobody's attention. What a person switched off needs none."""
        return self.kind in (Kind.ACTIVE, Kind.INACTIVE)


def standing(webhook: Webhook, state: WebhookState | None, now: datetime) -> Standing:
    """Return how `webhook` stands at `now`. No state: it is healthy."""
    if not webhook.is_active:
        return (
            _inactive()
            if state is None or state.disabled_at is None
            else _disabled(state, state.disabled_at, now)
        )
    if state is None:
        return _active()
    if state.paused_until is not None:
        return _paused(state, state.paused_until, now)
    if state.consecutive_failures:
        return _failing(state, now)
    return _active() if state.drip is None else _dripping()


def state_of(webhook: Webhook) -> WebhookState | None:
    """Return the webhook's state, None if it has none. Asks nothing where it was loaded with the webhook."""
    return getattr(webhook, "state", None)


def paused_until(webhook: Webhook, now: datetime) -> datetime | None:
    """Return until when nothing is sent to an active webhook; None if it is sent to."""
    until = getattr(state_of(webhook), "paused_until", None)
    return until if webhook.is_active and until is not None and until > now else None


def last_error(state: WebhookState) -> ErrorKind | None:
    """Return what is wrong at present, explained; None when nothing is, or nothing is known of it."""
    if not state.consecutive_failures and state.disabled_at is None:
        return None
    return explain(state.error_kind, state.status_code)


def disabled_on(state: WebhookState, disable_after: timedelta) -> datetime | None:
    """Return when a webhook that goes on failing is disabled; None for one that does not fail."""
    return None if state.failing_since is None else state.failing_since + disable_after


def clock(moment: datetime, now: datetime) -> str:
    """Return a moment as a person reads it: the time alone if it is today."""
    local = timezone.localtime(moment)
    today = local.date() == timezone.localtime(now).date()
    return local.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")


def remaining(until: datetime, now: datetime) -> str:
    """Return how long it is from `now`, in one unit: "12 minutes", "5 seconds"."""
    seconds = round((until - now).total_seconds())
    if seconds < 60:
        return ngettext("%d second", "%d seconds", seconds) % seconds
    return timeuntil(until, now, depth=1)


def _active() -> Standing:
    return Standing(Kind.ACTIVE, _("Events are sent as they happen."))


def _inactive() -> Standing:
    return Standing(
        Kind.INACTIVE,
        _("This webhook was switched off."),
        _("Nothing is sent. What is owed waits until it is activated."),
    )


def _failing(state: WebhookState, now: datetime) -> Standing:
    return Standing(
        Kind.FAILING,
        _failures(state, now),
        _("Each delivery is attempted again on its schedule. If failures go on, sending is paused."),
    )


def _paused(state: WebhookState, until: datetime, now: datetime) -> Standing:
    if until <= now:
        following = _("The pause is over: one delivery is tried, and the others follow once it succeeds.")
        return Standing(Kind.RECOVERING, _failures(state, now), following)
    following = _("Paused until %(time)s (in %(duration)s), then one delivery is tried.")
    values = {"time": clock(until, now), "duration": remaining(until, now)}
    return Standing(Kind.PAUSED, _failures(state, now), following % values)


def _dripping() -> Standing:
    return Standing(
        Kind.RECOVERING,
        _("Deliveries succeed again."),
        _("What has waited is sent a few at a time, and more of it as they succeed."),
    )


def _disabled(state: WebhookState, since: datetime, now: datetime) -> Standing:
    because = state.disabled_because or _("It went on failing.")
    return Standing(
        Kind.DISABLED,
        _("Switched off at %(time)s: %(because)s") % {"time": clock(since, now), "because": because},
        _("Nothing is sent, and what is owed waits. When the receiver is ready, check “Status” and save."),
    )


def _failures(state: WebhookState, now: datetime) -> str:
    count = state.consecutive_failures
    if not count or state.failing_since is None:
        return _("Attempts failed before it was activated.")  # which forgets how many and since when
    text = ngettext(
        "The last attempt failed at %(time)s.",
        "%(count)d attempts in a row have failed since %(time)s.",
        count,
    )
    return text % {"count": count, "time": clock(state.failing_since, now)}
