"""Parking: a pending delivery without `due_at` waits for its webhook, and costs nothing meanwhile.

It waits while the webhook is inactive or paused and, where the webhook is ordered, while an earlier delivery
is pending. `claim()` parks what it finds due; here it is made due again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from ..models import Delivery
from ..models.database import alias
from .clock import Now
from .rows import deliveries, pending, pending_of_webhooks, webhooks
from .waking import wake

BATCH = 5000


def park(ids: Collection[int], now: datetime) -> int:
    """Take the due time from those that must wait, asking once more whether they must; return how many that were."""
    inactive = Q(webhook__is_active=False)
    paused = Q(webhook__state__paused_until__gt=now)
    rows = pending().filter(pk__in=ids)
    waiting = rows.filter(inactive | paused | Q(Exists(_earlier()), webhook__ordered=True))
    return deliveries().filter(pk__in=waiting.values("pk")).update(due_at=None, claim=None)


def unpark(webhook_ids: Collection[int] | None = None, now: datetime | None = None) -> int:
    """Make due what waits for nothing any more, of these webhooks or of all; return how many that were.

    Of a webhook whose pause is over one delivery is enough: it shows whether the others may follow. An ordered
    webhook's first is the only one that may be sent. What is owed to a deleted webhook falls due to be ended.
    """
    moment = Now() if now is None else now
    parked = pending().filter(due_at__isnull=True)
    if webhook_ids is not None:
        parked = parked.filter(webhook__in=webhook_ids)
    total = _firsts_made_due(parked, moment)
    free = Q(webhook__is_active=True, webhook__ordered=False, webhook__state__paused_until__isnull=True)
    flowing = parked.filter(free | Q(webhook__deleted_at__isnull=False))
    while True:
        ids = list(flowing.values_list("pk", flat=True)[:BATCH])
        total += pending().filter(pk__in=ids, due_at__isnull=True).update(due_at=moment)
        if len(ids) < BATCH:
            return total


def resume_after_commit(webhook_id: int) -> None:
    """Send what waits for this webhook once the current transaction, which lets it be sent, has committed.

    Apart from it, because whoever records takes deliveries before states, and the transaction holds a state.
    """
    transaction.on_commit(partial(_resume, webhook_id), using=alias(), robust=True)


def unpark_after_commit(webhook_ids: Collection[int]) -> None:
    """Send what waited for deliveries of these webhooks that have ended, once the current transaction has committed."""
    transaction.on_commit(partial(_unpark_and_wake, webhook_ids), using=alias(), robust=True)


def _unpark_and_wake(webhook_ids: Collection[int]) -> None:
    if unpark(webhook_ids):
        wake()


def _resume(webhook_id: int) -> None:
    if not unpark([webhook_id]):
        _probe(webhook_id)
    wake()


def _probe(webhook_id: int) -> None:
    """Make the earliest delivery of a webhook due that nobody is sending, if there is one."""
    mine = pending_of_webhooks().filter(webhook=webhook_id, claim__isnull=True)
    first = list(mine.order_by("pk").values_list("pk", flat=True)[:1])
    mine.filter(pk__in=first).update(due_at=Now())


def release(webhook_ids: Collection[int], now: datetime) -> None:
    """Make the first delivery of each ordered webhook due, now that the one before it has ended.

    It is updated though it may be due already: so this waits for a claim that is parking it at this moment,
    and sees what that made of it.
    """
    ordered = pending_of_webhooks().filter(
        webhook__in=webhook_ids, webhook__ordered=True, webhook__is_active=True
    )
    firsts = [row["first"] for row in ordered.order_by().values("webhook").annotate(first=Min("pk"))]
    if firsts:
        waiting = Q(due_at__isnull=True) | Q(due_at__lte=now)
        # SQLite's clock knows milliseconds: what is due at this very moment would not be due to it yet.
        due_at = now - timedelta(milliseconds=1)
        pending().filter(waiting, pk__in=firsts, claim__isnull=True).update(due_at=due_at)


def _firsts_made_due(parked: QuerySet[Delivery], moment: datetime | Now) -> int:
    """Unpark one delivery of each webhook that sends them one by one, if it is the one."""
    over = Q(state__paused_until__lte=moment)
    one_by_one = webhooks().active().filter(over | Q(ordered=True, state__paused_until__isnull=True))
    ids = one_by_one.values("pk")
    waiting = parked.filter(webhook__in=ids).order_by().values("webhook").annotate(first=Min("pk"))
    firsts = [row["first"] for row in waiting]
    if not firsts:
        return 0
    rows = pending().filter(pk__in=firsts, due_at__isnull=True)
    blocked = Q(Exists(_earlier()), webhook__ordered=True)
    allowed = rows.exclude(pk__in=rows.filter(blocked).values("pk"))
    return deliveries().filter(pk__in=list(allowed.values_list("pk", flat=True))).update(due_at=moment)


def _earlier() -> QuerySet[Delivery]:
    return pending_of_webhooks().filter(webhook=OuterRef("webhook"), pk__lt=OuterRef("pk"))
