"""Removing what is old: ended deliveries and their attempts, events that nobody owes any more, deleted webhooks.

And attempts whose delivery went with its workspace, whatever their age.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from .conf import settings
from .models import Attempt, Delivery, Event, Webhook
from .models.database import alias
from .queue import database_now

BATCH = 1000


def prune(days: float | None = None, batch: int = BATCH) -> int:
    """Remove what ended more than `days` ago (default: RETENTION_DAYS; None there: none of it), in batches.

    What is pending is never touched. Attempts go before their delivery, so a prune that was killed leaves none
    without one. Returns the number of deliveries removed.
    """
    _remove_ownerless(batch)
    days = settings.RETENTION_DAYS if days is None else days
    if days is None:
        return 0
    before = database_now() - timedelta(days=days)
    total = _remove_deliveries(before, batch)
    _remove_events(before, batch)
    _remove_webhooks(before, batch)
    return total


def _remove_ownerless(batch: int) -> None:
    """Remove attempts without a delivery: no foreign key leads the cascade of a deleted workspace to them."""
    owner = Delivery.objects.using(alias()).filter(pk=OuterRef("delivery"))
    ownerless = Attempt.objects.using(alias()).filter(~Exists(owner)).order_by("pk")
    last = 0
    while ids := list(ownerless.filter(pk__gt=last).values_list("pk", flat=True)[:batch]):
        Attempt.objects.using(alias()).filter(pk__in=ids).delete()
        last = ids[-1]


def _remove_deliveries(before: datetime, batch: int) -> int:
    deliveries = Delivery.objects.using(alias())
    old = deliveries.exclude(status=Delivery.Status.PENDING).filter(finished_at__lt=before)
    total = 0
    while ids := list(old.order_by("finished_at").values_list("pk", flat=True)[:batch]):
        with transaction.atomic(using=alias()):
            # Locked and asked again: a person may have redelivered it since.
            ids = list(old.filter(pk__in=ids).select_for_update().values_list("pk", flat=True))
            Attempt.objects.using(alias()).filter(delivery__in=ids).delete()
            deliveries.filter(pk__in=ids).delete()
        total += len(ids)
    return total


def _remove_events(before: datetime, batch: int) -> None:
    owed = Delivery.objects.using(alias()).filter(event=OuterRef("pk"))
    events = Event.objects.using(alias()).filter(~Exists(owed), occurred_at__lt=before)
    while ids := list(events.values_list("pk", flat=True)[:batch]):
        Event.objects.using(alias()).filter(pk__in=ids).delete()


def _remove_webhooks(before: datetime, batch: int) -> None:
    """Remove webhooks that were deleted and of which nothing is left to be shown."""
    shown = Delivery.objects.using(alias()).filter(webhook=OuterRef("pk"))
    webhooks = Webhook.with_deleted.using(alias()).filter(~Exists(shown), deleted_at__lt=before)
    while ids := list(webhooks.values_list("pk", flat=True)[:batch]):
        Webhook.with_deleted.using(alias()).filter(pk__in=ids).delete()
