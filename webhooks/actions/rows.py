"""A webhook's row, as an action locks and writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from ..audit import CHANGED, note
from ..exceptions import ConcurrentChange
from ..models import Webhook
from ..models.database import alias
from ..models.webhook import NAME_TAKEN

CHANGED_SINCE = (
    "This webhook was changed since you opened this page. Nothing was saved: "
    "open it again, and repeat your changes."
)
DELETED = "This webhook was deleted in the meantime."


def save(
    webhook: Webhook, fields: Sequence[str], message: str, by: Any, via: str, flag: int = CHANGED
) -> None:
    with transaction.atomic(using=alias()):
        webhook.save(update_fields=fields, using=alias())
        note([webhook], message, by, via, flag)


def save_named(webhook: Webhook, **options: Any) -> None:
    try:
        with transaction.atomic(using=alias()):
            webhook.save(using=alias(), **options)
    except IntegrityError:
        # Somebody else took the name since it was looked up.
        raise ValidationError({"name": NAME_TAKEN}) from None


def locked(webhook: Webhook, version: int | None = None) -> Webhook:
    """Return the row as it is now, locked against other changes but not against emitting."""
    rows = Webhook.objects.using(alias()).select_for_update(no_key=True)
    stored = rows.filter(pk=webhook.pk).first()
    if stored is None:
        raise ConcurrentChange(DELETED)
    if version is not None and stored.version != version:
        raise ConcurrentChange(CHANGED_SINCE)
    return stored


def copy(stored: Webhook, webhook: Webhook) -> None:
    """Bring the caller's object up to date, encrypted values as they are."""
    for field in Webhook._meta.concrete_fields:
        webhook.__dict__[field.attname] = stored.__dict__[field.attname]
    webhook.__dict__.pop("_prefetched_objects_cache", None)
