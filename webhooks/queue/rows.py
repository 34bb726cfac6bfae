"""The queue's rows, on the database that holds them."""

from __future__ import annotations

from django.db import models

from ..models import Delivery, Webhook, WebhookState
from ..models.database import alias
from ..models.webhook import WebhookQuerySet


def deliveries() -> models.QuerySet[Delivery]:
    return Delivery.objects.using(alias())


def pending() -> models.QuerySet[Delivery]:
    return deliveries().filter(status=Delivery.Status.PENDING)


def pending_of_webhooks() -> models.QuerySet[Delivery]:
    """Return the same, to be filtered by webhook: said in the words of the index on (webhook, id) as well."""
    return pending().filter(finished_at__isnull=True)


def states() -> models.QuerySet[WebhookState]:
    return WebhookState.objects.using(alias())


def webhooks() -> WebhookQuerySet:
    """Those that are deleted too: they may still be owed to."""
    return Webhook.with_deleted.using(alias())
