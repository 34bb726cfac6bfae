"""What is owed: send it again, or not at all, or an example of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .. import catalogue, queue
from ..audit import note
from ..encoding import freeze
from ..events import event_of
from ..models import Delivery, Event, Webhook
from ..models.database import alias

ENDED = (Delivery.Status.SUCCEEDED, Delivery.Status.FAILED, Delivery.Status.CANCELLED)
# A database bounds the parameters of one statement.
BATCH = 1000


def redeliver(deliveries: Iterable[Delivery], *, by: Any, via: str = "") -> int:
    """Send ended deliveries again, with a fresh `max_attempts`; return how many that were.

    Those still pending, and those of a deleted webhook, are left as they are.
    """
    count = 0
    with transaction.atomic(using=alias()):
        for ids in _batches(deliveries):
            found = begin_anew(ids, among=ENDED)
            count += len(found)
            note(found, "Redelivered.", by, via)
        if count:
            queue.wake_after_commit()
    return count


def begin_anew(ids: Collection[int], *, among: Collection[Delivery.Status]) -> list[Delivery]:
    """Make ended deliveries due, in the caller's transaction, and return them: those of the statuses `among`.

    Those of a deleted webhook are left as they are.
    """
    rows = Delivery.objects.using(alias()).filter(pk__in=ids, status__in=among)
    present = rows.filter(webhook__deleted_at__isnull=True).order_by("pk")
    found = list(present.select_for_update(of=("self",)))
    rows.filter(pk__in=_ids(found)).update(
        status=Delivery.Status.PENDING,
        ended_because="",
        due_at=queue.Now(),
        finished_at=None,
        claim=None,
        lost_claims=0,
        attempts_before=F("attempt_count"),
    )
    return found


def cancel(deliveries: Iterable[Delivery], *, by: Any, via: str = "") -> int:
    """End pending deliveries without sending them; return how many that were."""
    count = 0
    with transaction.atomic(using=alias()):
        for ids in _batches(deliveries):
            rows = Delivery.objects.using(alias()).filter(pk__in=ids, status=Delivery.Status.PENDING)
            found = list(rows.order_by("pk").select_for_update())
            count += rows.filter(pk__in=_ids(found)).update(
                status=Delivery.Status.CANCELLED,
                ended_because=Delivery.EndedBecause.BY_HAND,
                due_at=None,
                claim=None,
                finished_at=queue.Now(),
            )
            note(found, "Cancelled.", by, via)
            queue.unpark_after_commit({delivery.webhook_id for delivery in found})
    return count


def send_test(webhook: Webhook, type: str, *, by: Any, via: str = "") -> Event:  # noqa: A002  the contract's name
    """Send the webhook, and no other, the example of a type, as an event of its own; return that event.

    Raises UnknownEventType.
    """
    example = catalogue.get(type).example
    with transaction.atomic(using=alias()):
        event = event_of(type, webhook.workspace, freeze(example), timezone.now())
        event.is_test = True
        event.save(force_insert=True, using=alias())
        delivery = Delivery(event=event, webhook=webhook, workspace_id=webhook.workspace_id, event_type=type)
        delivery.created_at = delivery.due_at = queue.database_now()
        delivery.save(force_insert=True, using=alias())
        note([webhook], f"Test event {type} sent.", by, via)
        queue.wake_after_commit()
    return event


def _ids(deliveries: Iterable[Delivery]) -> list[int]:
    return [delivery.pk for delivery in deliveries]


def _batches(deliveries: Iterable[Delivery]) -> Iterator[list[int]]:
    """Yield the ids in rising order, in which everybody locks deliveries."""
    ids = sorted(set(_ids(deliveries)))
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
