"""What people do: each action is a change of state, its audit row, and a wake-up.

`by` is the user who asked, or None for a command or the machine: then a log line stands in for the audit row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import catalogue, queue, signing
from .encoding import freeze
from .events import event_of
from .models import Delivery, Event, Webhook
from .models.database import alias

logger = logging.getLogger("webhooks")

ENDED = (Delivery.Status.SUCCEEDED, Delivery.Status.FAILED, Delivery.Status.CANCELLED)
# A database bounds the parameters of one statement.
BATCH = 1000


def redeliver(deliveries: Iterable[Delivery], *, by: Any) -> int:
    """Send ended deliveries again, with a fresh `max_attempts`; return how many that were.

    Those still pending, and those of a deleted webhook, are left as they are.
    """
    count = 0
    with transaction.atomic(using=alias()):
        for ids in _batches(deliveries):
            rows = Delivery.objects.using(alias()).filter(pk__in=ids, status__in=ENDED)
            present = rows.filter(webhook__deleted_at__isnull=True).order_by("pk")
            found = list(present.select_for_update(of=("self",)))
            count += rows.filter(pk__in=_ids(found)).update(
                status=Delivery.Status.PENDING,
                ended_because="",
                due_at=Now(),
                finished_at=None,
                claim=None,
                lost_claims=0,
                attempts_before=F("attempt_count"),
            )
            _note(found, "Redelivered.", by)
        if count:
            queue.wake_after_commit()
    return count


def cancel(deliveries: Iterable[Delivery], *, by: Any) -> int:
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
                finished_at=Now(),
            )
            _note(found, "Cancelled.", by)
            queue.unpark_after_commit({delivery.webhook_id for delivery in found})
    return count


@sensitive_variables()
def rotate_secret(webhook: Webhook, *, by: Any, secret: str | None = None) -> str:
    """Give the webhook a new secret, generated when none is given, and return it.

    Raises ValidationError for a secret that cannot sign.
    """
    secret = signing.generate_secret() if secret is None else secret
    # Asked of a draft: a refused secret must not stay on the caller's webhook.
    error = Webhook(secret=secret).secret_error() if secret else "A new secret cannot be empty."
    if error:
        raise ValidationError({"secret": error})
    webhook.secret = secret
    _save(webhook, ["secret"], "Secret rotated.", by)
    return secret


def remove_secret(webhook: Webhook, *, by: Any) -> None:
    """Send unsigned from now on."""
    webhook.secret = ""
    _save(webhook, ["secret"], "Secret removed.", by)


def activate(webhook: Webhook, *, by: Any) -> None:
    """Send to the webhook again, beginning with what waited for it."""
    with transaction.atomic(using=alias()):
        queue.activated(webhook.pk, queue.database_now())
        webhook.is_active = True
        _save(webhook, ["is_active"], "Activated.", by)
        queue.resume_after_commit(webhook.pk)


def resume(webhook: Webhook, *, by: Any) -> bool:
    """End the webhook's pause: one delivery is tried now. Return whether there was a pause."""
    with transaction.atomic(using=alias()):
        if not queue.resumed(webhook.pk, queue.database_now()):
            return False
        _note([webhook], "Resumed.", by)
        queue.resume_after_commit(webhook.pk)
    return True


def deactivate(webhook: Webhook, *, by: Any) -> None:
    """Send nothing to the webhook; what is owed waits until it is activated."""
    webhook.is_active = False
    _save(webhook, ["is_active"], "Deactivated.", by)


def delete(webhook: Webhook, *, by: Any) -> None:
    """Hide the webhook and free its name. What it is still owed ends as cancelled when it falls due."""
    webhook.is_active = False
    webhook.deleted_at = queue.database_now()
    # A secret that nothing will ever sign with need not be kept.
    webhook.secret = webhook.previous_secret = ""
    _save(webhook, ["is_active", "deleted_at", "secret", "previous_secret"], "Deleted.", by)


def send_test(webhook: Webhook, type: str, *, by: Any) -> Event:  # noqa: A002  the contract's name
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
        _note([webhook], f"Test event {type} sent.", by)
        queue.wake_after_commit()
    return event


def _save(webhook: Webhook, fields: list[str], message: str, by: Any) -> None:
    with transaction.atomic(using=alias()):
        webhook.save(update_fields=fields, using=alias())
        _note([webhook], message, by)


def _note(objects: Iterable[models.Model], message: str, by: Any) -> None:
    """Write who did what: an audit row each, or a log line."""
    objects = list(objects)
    if by is None or not apps.is_installed("django.contrib.admin"):
        who = "" if by is None else f" By user {by.pk}."
        for one in objects:
            logger.info("%s %s: %s%s", one._meta.model_name, one.pk, message, who)
        return
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.contenttypes.models import ContentType

    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=by.pk,
            content_type_id=ContentType.objects.get_for_model(one).pk,
            object_id=str(one.pk),
            object_repr=str(one)[:200],
            action_flag=CHANGE,
            change_message=message,
        )
        for one in objects
    )


def _ids(deliveries: Iterable[Delivery]) -> list[int]:
    return [delivery.pk for delivery in deliveries]


def _batches(deliveries: Iterable[Delivery]) -> Iterator[list[int]]:
    """Yield the ids in rising order, in which everybody locks deliveries."""
    ids = sorted(set(_ids(deliveries)))
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
