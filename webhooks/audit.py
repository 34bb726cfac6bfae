"""Who did what: a row in the admin's history, or a log line. Never a secret, a path or a query of a URL."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from django.apps import apps
from django.db import models

from .models import Webhook
from .origin import origin

logger = logging.getLogger("webhooks")

# django.contrib.admin.models' flags: the admin need not be installed.
ADDED, CHANGED, DELETED = 1, 2, 3


def note(objects: Iterable[models.Model], message: str, by: Any, via: str = "", flag: int = CHANGED) -> None:
    """Write down that `by` did this to `objects`. `via`: "API", or "" for the admin and commands."""
    objects = list(objects)
    if via:
        message = f"{message} ({via})"
    if by is None or not apps.is_installed("django.contrib.admin"):
        who = "" if by is None else f" By user {by.pk}."
        for one in objects:
            logger.info("%s %s: %s%s", one._meta.model_name, one.pk, message, who)
        return
    from django.contrib.admin.models import LogEntry
    from django.contrib.contenttypes.models import ContentType

    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=by.pk,
            content_type_id=ContentType.objects.get_for_model(one).pk,
            object_id=str(one.pk),
            object_repr=str(one)[:200],
            action_flag=flag,
            change_message=message,
        )
        for one in objects
    )


def changed(webhook: Webhook, columns: Mapping[str, Any], events: bool) -> str:
    """Return what a change of `columns` is called, asked before it is made: what changed, never to what.

    Only a new server is named: that is where the workspace's data goes from then on.
    """
    names = [_label(webhook, name, columns) for name in columns]
    return f"Changed {', '.join([*names, 'Events'] if events else names)}."


def rotated(until: datetime | None) -> str:
    if until is None:
        return "Secret rotated."
    return f"Secret rotated; the former one signs until {until.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC."


def recovered(since: datetime, count: int) -> str:
    moment = f"{since.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    return f"Recovered since {moment}: {count} {'delivery' if count == 1 else 'deliveries'}."


def _label(webhook: Webhook, name: str, columns: Mapping[str, Any]) -> str:
    field: Any = Webhook._meta.get_field(name)
    label = str(field.verbose_name)
    if name != "callback_url":
        return label
    old, new = origin(webhook.callback_url), origin(columns[name])
    return label if old == new else f"{label} ({old} → {new})"
