"""A webhook's life: create, change, activate, resume, deactivate, delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from .. import audit, limits, queue, quotas
from ..audit import ADDED, DELETED, note
from ..models import Webhook
from ..models.database import alias
from . import rows, secret

# What a person changes as it is.
CHANGEABLE = ("name", "callback_url", "method", "content_type", "max_attempts", *limits.FIELDS)


@sensitive_variables()
def create(webhook: Webhook, patterns: Iterable[str], *, by: Any, via: str = "") -> None:
    """Register a webhook that was checked, with what it subscribes to.

    Raises ValidationError when its name, or the last place of its workspace's quota, was taken in the meantime,
    and UnknownEventType.
    """
    with transaction.atomic(using=alias()):
        quotas.check_room(webhook.workspace_id)
        rows.save_named(webhook)
        webhook.subscribe(*patterns)
        note([webhook], "Created.", by, via, ADDED)


@sensitive_variables()
def change(
    webhook: Webhook, changes: Mapping[str, Any], *, by: Any, via: str = "", version: int | None = None
) -> None:
    """Write what a person changed, each value checked before, and nothing else.

    `changes`: field → value; beside the columns "events", the patterns; "headers" and "authorization", in which
    a mask keeps what is stored; "is_active". `version` is that of the webhook the person was looking at. Raises
    ConcurrentChange when it has moved since, or the webhook is deleted, and ValidationError by field.
    """
    with transaction.atomic(using=alias()):
        turns_on = (
            changes.get("is_active") and Webhook.objects.filter(pk=webhook.pk, is_active=False).exists()
        )
        if turns_on:
            # Whoever locks both takes the state before the webhook.
            queue.locked_states([webhook.pk])
        stored = rows.locked(webhook, version)
        columns = {**_differing(stored, changes), **stored.credentials_from(changes)}
        events = set(changes.get("events", stored.patterns)) != set(stored.patterns)
        message = audit.changed(stored, columns, events)
        for name, value in columns.items():
            setattr(stored, name, value)
        if columns or events:
            rows.save_named(stored, update_fields=[*columns])
            note([stored], message, by, via)
        if events:
            stored.set_patterns(changes["events"])
        if turns_on and not stored.is_active:
            activate(stored, by=by, via=via)
        elif stored.is_active and not changes.get("is_active", True):
            deactivate(stored, by=by, via=via)
        if "ordered" in columns:
            queue.unpark_after_commit([stored.pk])
        if stored.is_active and "callback_url" in columns:
            # A new address is tried at once. After the commit, because states are locked before webhooks.
            transaction.on_commit(partial(resume, stored, by=None), using=alias(), robust=True)
    rows.copy(stored, webhook)


def activate(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Send to the webhook again, beginning with what waited for it."""
    with transaction.atomic(using=alias()):
        queue.activated(webhook.pk, queue.database_now())
        webhook.is_active = True
        rows.save(webhook, ["is_active"], "Activated.", by, via)
        queue.resume_after_commit(webhook.pk)


def resume(webhook: Webhook, *, by: Any, via: str = "") -> bool:
    """End the webhook's pause: one delivery is tried now. Return whether there was a pause."""
    with transaction.atomic(using=alias()):
        if not queue.resumed(webhook.pk, queue.database_now()):
            return False
        note([webhook], "Resumed.", by, via)
        queue.resume_after_commit(webhook.pk)
    return True


def deactivate(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Send nothing to the webhook; what is owed waits until it is activated."""
    webhook.is_active = False
    rows.save(webhook, ["is_active"], "Deactivated.", by, via)


def delete(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Hide the webhook and free its name. What it is still owed ends as cancelled when it falls due."""
    webhook.is_active = False
    webhook.deleted_at = queue.database_now()
    # What nothing will ever be sent with need not be kept.
    webhook.secret = webhook.custom_headers = webhook.authorization = ""
    webhook.forget_previous_secret()
    fields = ["is_active", "deleted_at", "custom_headers", "authorization", *secret.COLUMNS]
    rows.save(webhook, fields, "Deleted.", by, via, DELETED)


def _differing(stored: Webhook, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain columns among `changes`, as far as they say something new."""
    return {
        name: changes[name]
        for name in CHANGEABLE
        if name in changes and changes[name] != getattr(stored, name)
    }
