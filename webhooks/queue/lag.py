"""Lag: for how long work that could be done has been left undone, as a watchdog asks."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max, Min

from ..conf import settings
from ..models import Attempt
from ..models.database import alias
from .candidates import candidates
from .clock import database_now
from .rows import pending

# Enough to find one that has waited: the candidates come in the order in which they fell due.
_LOOKED_AT = 100


def lag(now: datetime | None = None) -> timedelta:
    """Return how long deliveries that any worker could take have waited while none took or sent any.

    What waits for its webhook's cap, rate, order or pause is no lag; nor is a backlog that is being worked off.
    """
    moment = now or database_now()
    found = candidates(moment, _LOOKED_AT) or candidates(moment, _LOOKED_AT, suspects=True)
    if not found:
        return timedelta(0)
    due = pending().filter(pk__in=[row.id for row in found]).aggregate(earliest=Min("due_at"))["earliest"]
    signs = [due, _latest_claim(), _latest_attempt()]
    return max(moment - max(sign for sign in signs if sign), timedelta(0)) if due else timedelta(0)


def _latest_claim() -> datetime | None:
    latest = pending().filter(claim__isnull=False).aggregate(latest=Max("due_at"))["latest"]
    return latest and latest - timedelta(seconds=settings.LEASE)


def _latest_attempt() -> datetime | None:
    starts = Attempt.objects.using(alias()).order_by("-pk").values_list("started_at", flat=True)
    return starts.first()
