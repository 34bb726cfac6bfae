"""Recover: what a webhook missed since a time is owed to it after all."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils.timezone import is_naive

from .. import audit, catalogue, queue
from ..audit import note
from ..exceptions import ConcurrentChange
from ..fanout import insert_into, newly_due
from ..models import Delivery, Event, Webhook
from ..models.database import alias, connection
from ..models.event import first_event_id
from . import rows
from .deliveries import begin_anew

# How much one transaction recovers. A database bounds the parameters of a statement.
BATCH = 1000
# An event's id and the time at which it occurred are read off the clock one after the other.
CLOCK_STEP = timedelta(minutes=1)
# No event is older, and the id of one could not say so.
OLDEST = datetime(1970, 1, 2, tzinfo=timezone.utc)

NAIVE = "Say in which time zone this is, as in 2026-01-31T09:00:00Z."
IN_THE_FUTURE = "This lies in the future: nothing can have been missed since then."
INACTIVE = "This webhook is inactive. Activate it first: then what it missed can be sent."


class Missed(NamedTuple):
    """How much a webhook missed."""

    new: int
    """Events for which it has no delivery yet."""
    failed: int
    """Deliveries that ended without success."""


def recover(webhook: Webhook, *, since: datetime, by: Any, via: str = "") -> int:
    """Send the webhook what it missed since then, as far as it is kept; return how many deliveries that were.

    An event that its subscriptions match now and for which it has no delivery gets one, and a delivery that failed
    is sent again, with a fresh `max_attempts`. Test events, and what succeeded, is pending or was cancelled, are
    left as they are. What was done stays done when it is interrupted; doing it again does the rest.

    Raises ValidationError for a `since` that is naive or in the future and for an inactive webhook, and
    ConcurrentChange for a deleted one, before anything is written.
    """
    since = _checked(since)
    wanted = _wanted(webhook, since)
    count = _send_again(webhook, wanted) + _owe(webhook, wanted)
    with transaction.atomic(using=alias()):
        note([webhook], audit.recovered(since, count), by, via)
        if count:
            queue.wake_after_commit()
    return count


def missed(webhook: Webhook, *, since: datetime) -> Missed:
    """Return how much `recover` would send now. Raises what it raises."""
    wanted = _wanted(webhook, _checked(since))
    return Missed(new=_unowed(webhook, wanted).count(), failed=_failed(webhook, wanted).count())


def _checked(since: datetime) -> datetime:
    if is_naive(since):
        raise ValidationError({"since": NAIVE})
    if since > queue.database_now():
        raise ValidationError({"since": IN_THE_FUTURE})
    return max(since, OLDEST)


def _wanted(webhook: Webhook, since: datetime) -> QuerySet[Event]:
    """Return the events since then that the webhook, which must be active, is subscribed to."""
    _check_active(webhook)
    # By the key as well: it is what the index on a workspace's events is sorted by.
    events = Event.objects.using(alias()).filter(
        workspace=webhook.workspace_id, pk__gte=first_event_id(since - CLOCK_STEP)
    )
    patterns = webhook.subscriptions.using(alias()).values_list("pattern", flat=True)
    return events.filter(_of_types(list(patterns)), occurred_at__gte=since, is_test=False)


def _check_active(webhook: Webhook) -> None:
    stored = Webhook.objects.using(alias()).filter(pk=webhook.pk).first()
    if stored is None:
        raise ConcurrentChange(rows.DELETED)
    if not stored.is_active:
        raise ValidationError(INACTIVE)


def _of_types(patterns: Collection[str]) -> Q:
    """Return the condition that a type matches one of the patterns, see `catalogue.patterns_matching`."""
    if catalogue.ALL in patterns:
        return Q()
    condition = Q(type__in=patterns)
    for pattern in patterns:
        noun, _, verb = pattern.partition(".")
        if verb == catalogue.ALL:
            condition |= Q(type__startswith=f"{noun}.")
    return condition


# The next two look one row up for each row that they are about. Said by EXISTS it would be a join to PostgreSQL:
# with statistics from before a flood, one that compares every row with every other.


def _failed(webhook: Webhook, wanted: QuerySet[Event]) -> QuerySet[Delivery]:
    # The workspace is that of the index on what has failed.
    failed = Delivery.objects.using(alias()).filter(
        workspace=webhook.workspace_id, webhook=webhook, status=Delivery.Status.FAILED
    )
    event = wanted.filter(pk=OuterRef("event")).values("pk")
    return failed.alias(wanted=Subquery(event[:1])).filter(wanted__isnull=False)


def _unowed(webhook: Webhook, wanted: QuerySet[Event]) -> QuerySet[Event]:
    # A sum stands in no index: so an event's deliveries are looked through for it, and not the webhook's.
    of_event = (
        Delivery.objects.using(alias()).filter(event=OuterRef("pk")).alias(receiver=F("webhook_id") + 0)
    )
    delivery = of_event.filter(receiver=webhook.pk).values("pk")
    return wanted.alias(owed=Subquery(delivery[:1])).filter(owed__isnull=True)


def _send_again(webhook: Webhook, wanted: QuerySet[Event]) -> int:
    failed = _failed(webhook, wanted).order_by("pk")
    count = last = 0
    while ids := list(failed.filter(pk__gt=last).values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic(using=alias()):
            count += len(begin_anew(ids, among=(Delivery.Status.FAILED,)))
        last = ids[-1]
    return count


def _owe(webhook: Webhook, wanted: QuerySet[Event]) -> int:
    # Locked, so that none is pruned while a delivery of it is written; before the webhook, as whoever deletes a
    # workspace takes them.
    unowed = _unowed(webhook, wanted).order_by("pk").select_for_update(no_key=True)
    count, last = 0, uuid.UUID(int=0)
    while True:
        with transaction.atomic(using=alias()):
            ids = list(unowed.filter(pk__gt=last).values_list("pk", flat=True)[:BATCH])
            if not ids:
                return count
            count += _deliveries_created(webhook, ids)
        last = ids[-1]


def _deliveries_created(webhook: Webhook, event_ids: Sequence[uuid.UUID]) -> int:
    """Create the deliveries of these events, in their order, unless the webhook is switched off by now."""
    db = connection()
    keys = [Event._meta.pk.get_db_prep_value(key, db) for key in event_ids]
    with db.cursor() as cursor:
        cursor.execute(_statement(db, len(keys)), [webhook.pk, *keys])
        return cursor.rowcount


def _statement(db: BaseDatabaseWrapper, count: int) -> str:
    """Return the statement for so many events. It locks the webhook as fan out does, and for the same reason."""
    quote = db.ops.quote_name
    lock = "FOR KEY SHARE" if db.vendor == "postgresql" else ""
    clock = queue.clock_sql(db)
    # SQLite would read ON CONFLICT as the condition of a join, were there no WHERE.
    return f"""
        {insert_into(db)}
        WITH receiver AS (
            SELECT id, workspace_id FROM {quote(Webhook._meta.db_table)}
            WHERE id = %s AND is_active AND deleted_at IS NULL {lock}
        )
        SELECT event.id, receiver.id, receiver.workspace_id, event.type,
               {newly_due(db, f"CASE WHEN event.held_until > {clock} THEN event.held_until ELSE {clock} END")}
        FROM {quote(Event._meta.db_table)} AS event CROSS JOIN receiver
        WHERE event.id IN ({", ".join(["%s"] * count)}) ORDER BY event.id
        ON CONFLICT DO NOTHING
    """  # noqa: S608  table names and the clock are ours; every value is a parameter
