"""Removing what is old: ended deliveries and their attempts, events that nobody owes any more, deleted webhooks.

And attempts whose delivery went with its workspace, whatever their age.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from . import quotas
from .conf import settings, workspace_model
from .models import Attempt, Delivery, Event, Webhook
from .models.database import alias
from .queue import database_now

BATCH = 1000


def prune(days: float | None = None, batch: int = BATCH) -> int:
    """Remove what ended more than `days` ago (default: RETENTION_DAYS; None there: none of it), in batches.

    Of a workspace whose quota says fewer days, no more is kept than those. What is pending is never touched.
    Attempts go before their delivery, so a prune that was killed leaves none without one. Returns the number of
    deliveries removed.
    """
    _remove_ownerless(batch)
    days = settings.RETENTION_DAYS if days is None else days
    now = database_now()
    total = sum(
        _prune_workspace(key, now - timedelta(days=kept), batch) for key, kept in _kept_for_less(days)
    )
    if days is None:
        return total
    before = now - timedelta(days=days)
    total += _remove_deliveries(before, batch)
    _remove_events(before, batch)
    _remove_webhooks(before, batch)
    return total


def _kept_for_less(days: float | None) -> Iterator[tuple[Any, float]]:
    """Yield the key of each workspace of which less is kept than of the others, and how many days."""
    if settings.QUOTAS is None:
        return
    for workspace in workspace_model()._default_manager.using(alias()).iterator():
        kept = quotas.days_kept(workspace, days)
        if kept is not None and kept != days:
            yield workspace.pk, kept


def _prune_workspace(key: Any, before: datetime, batch: int) -> int:
    deliveries = Delivery.objects.using(alias()).filter(workspace=key)
    total = sum(_remove_ended(ids, before) for ids in _older(deliveries, "created_at", before, batch))
    events = Event.objects.using(alias()).filter(workspace=key)
    for ids in _older(events, "occurred_at", before, batch):
        _remove_not_owed(ids)
    return total


def _older(rows: QuerySet[Any], moment: str, before: datetime, batch: int) -> Iterator[list[Any]]:
    """Yield the keys of a workspace's rows from before `before`, in batches.

    Their keys rise with time: so nothing newer than the last of them is looked at, and no row twice.
    """
    found: list[Any] = []
    while True:
        following = rows.filter(pk__gt=found[-1]) if found else rows
        looked_at = list(following.order_by("pk").values_list("pk", moment)[:batch])
        found = [key for key, at in looked_at if at < before]
        if found:
            yield found
        if not found or len(found) < batch:
            return


def _remove_ownerless(batch: int) -> None:
    """Remove attempts without a delivery: no foreign key leads the cascade of a deleted workspace to them."""
    owner = Delivery.objects.using(alias()).filter(pk=OuterRef("delivery"))
    ownerless = Attempt.objects.using(alias()).filter(~Exists(owner)).order_by("pk")
    last = 0
    while ids := list(ownerless.filter(pk__gt=last).values_list("pk", flat=True)[:batch]):
        Attempt.objects.using(alias()).filter(pk__in=ids).delete()
        last = ids[-1]


def _remove_deliveries(before: datetime, batch: int) -> int:
    old = _ended(before)
    total = 0
    while ids := list(old.order_by("finished_at").values_list("pk", flat=True)[:batch]):
        total += _remove_ended(ids, before)
    return total


def _remove_ended(ids: list[int], before: datetime) -> int:
    """Remove those of the deliveries that ended before `before`, and return how many they were."""
    with transaction.atomic(using=alias()):
        # Locked and asked again: a person may have redelivered it since.
        ids = list(_ended(before).filter(pk__in=ids).select_for_update().values_list("pk", flat=True))
        Attempt.objects.using(alias()).filter(delivery__in=ids).delete()
        Delivery.objects.using(alias()).filter(pk__in=ids).delete()
    return len(ids)


def _ended(before: datetime) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.using(alias())
    return deliveries.exclude(status=Delivery.Status.PENDING).filter(finished_at__lt=before)


def _remove_events(before: datetime, batch: int) -> None:
    events = _not_owed(Event.objects.using(alias()).filter(occurred_at__lt=before))
    while ids := list(events.values_list("pk", flat=True)[:batch]):
        _remove_not_owed(ids)


def _remove_not_owed(ids: list[Any]) -> None:
    """Remove those of the events that nobody owes, locked and then asked: one may just be recovered."""
    events = Event.objects.using(alias())
    with transaction.atomic(using=alias()):
        ids = list(events.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk", flat=True))
        _not_owed(events.filter(pk__in=ids)).delete()


def _not_owed(events: QuerySet[Event]) -> QuerySet[Event]:
    return events.filter(~Exists(Delivery.objects.using(alias()).filter(event=OuterRef("pk"))))


def _remove_webhooks(before: datetime, batch: int) -> None:
    """Remove webhooks that were deleted and of which nothing is left to be shown."""
    shown = Delivery.objects.using(alias()).filter(webhook=OuterRef("pk"))
    webhooks = Webhook.with_deleted.using(alias()).filter(~Exists(shown), deleted_at__lt=before)
    while ids := list(webhooks.values_list("pk", flat=True)[:batch]):
        Webhook.with_deleted.using(alias()).filter(pk__in=ids).delete()
