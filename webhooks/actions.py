"""What people do: each action is a change of state, its audit row, and a wake-up.

`by` is the user who asked, or None for a command or the machine: then a log line stands in for the audit row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
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
from .models import Delivery, Event, Webhook, WebhookState
from .models.database import alias

logger = logging.getLogger("webhooks")

ENDED = (Delivery.Status.SUCCEEDED, Delivery.Status.FAILED, Delivery.Status.CANCELLED)


def redeliver(deliveries: Iterable[Delivery], *, by: Any) -> int:
    """Send ended deliveries again, with a fresh `max_attempts`; return how many that were.

    Those still pending, and those of a deleted webhook, are left as they are.
    """
    chosen = _ids(deliveries)
    with transaction.atomic(using=alias()):
        rows = Delivery.objects.using(alias()).filter(
            pk__in=chosen, status__in=ENDED, webhook__deleted_at__isnull=True
        )
        ids = list(rows.order_by("pk").select_for_update(of=("self",)))
        Delivery.objects.using(alias()).filter(pk__in=_ids(ids)).update(
            status=Delivery.Status.PENDING,
            ended_because="",
            due_at=Now(),
            finished_at=None,
            claim=None,
            lost_claims=0,
            attempts_before=F("attempt_count"),
        )
        _note(ids, "Redelivered.", by)
        queue.wake_after_commit()
    return len(ids)


def cancel(deliveries: Iterable[Delivery], *, by: Any) -> int:
    """End pending deliveries without sending them; return how many that were."""
    with transaction.atomic(using=alias()):
        rows = Delivery.objects.using(alias()).filter(pk__in=_ids(deliveries), status=Delivery.Status.PENDING)
        found = list(rows.order_by("pk").select_for_update())
        Delivery.objects.using(alias()).filter(pk__in=_ids(found)).update(
            status=Delivery.Status.CANCELLED,
            ended_because=Delivery.EndedBecause.BY_HAND,
            due_at=None,
            claim=None,
            finished_at=Now(),
        )
        _note(found, "Cancelled.", by)
    return len(found)


@sensitive_variables()
def rotate_secret(webhook: Webhook, *, by: Any, secret: str | None = None) -> str:
    """Give the webhook a new secret, generated when none is given, and return it.

    Raises ValidationError for a secret that cannot sign.
    """
    secret = signing.generate_secret() if secret is None else secret
    webhook.secret = secret
    error = webhook.secret_error()
    if error:
        raise ValidationError({"secret": error})
    _save(webhook, ["secret"], "Secret rotated.", by)
    return secret


def remove_secret(webhook: Webhook, *, by: Any) -> None:
    """Send unsigned from now on."""
    webhook.secret = ""
    _save(webhook, ["secret"], "Secret removed.", by)


def activate(webhook: Webhook, *, by: Any) -> None:
    """Send to the webhook again, beginning with what waited for it."""
    with transaction.atomic(using=alias()):
        webhook.is_active = True
        _save(webhook, ["is_active"], "Activated.", by)
        WebhookState.objects.using(alias()).filter(webhook=webhook).update(
            disabled_at=None,
            disabled_because="",
            consecutive_failures=0,
            failing_since=None,
            paused_until=None,
        )
        queue.unpark([webhook.pk])
        queue.wake_after_commit()


def deactivate(webhook: Webhook, *, by: Any) -> None:
    """Send nothing to the webhook; what is owed waits until it is activated."""
    webhook.is_active = False
    _save(webhook, ["is_active"], "Deactivated.", by)


def delete(webhook: Webhook, *, by: Any) -> None:
    """Hide the webhook and free its name. What it is still owed ends as cancelled when it falls due."""
    webhook.is_active = False
    webhook.deleted_at = timezone.now()
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
        for one in objects:
            logger.info("%s %s: %s", one._meta.model_name, one.pk, message)
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
