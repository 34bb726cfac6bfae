"""What people do: each action is a change of state, its audit row, and a wake-up.

`by` is the user who asked, or None for a command or the machine: then a log line stands in for the audit row.
`via` is the way by which a person asked, where it is not the admin: "API".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import audit, catalogue, queue, signing
from .audit import ADDED, CHANGED, DELETED, note
from .conf import settings
from .encoding import freeze
from .events import event_of
from .exceptions import ConcurrentChange
from .models import Delivery, Event, Webhook
from .models.database import alias
from .models.webhook import NAME_TAKEN
from .queue.states import locked_states

ENDED = (Delivery.Status.SUCCEEDED, Delivery.Status.FAILED, Delivery.Status.CANCELLED)
# A database bounds the parameters of one statement.
BATCH = 1000
CHANGED_SINCE = (
    "This webhook was changed since you opened this page. Nothing was saved: "
    "open it again, and repeat your changes."
)
LONGEST_OVERLAP = 30 * 24 * 3600
SECRET_COLUMNS = ("secret", "previous_secret", "previous_secret_expires_at")
# What a person changes as it is.
CHANGEABLE = (
    "name",
    "callback_url",
    "method",
    "content_type",
    "max_attempts",
    "timeout",
    "connect_timeout",
    "retry_schedule",
    "rate_limit",
    "max_in_flight",
    "ordered",
)


def redeliver(deliveries: Iterable[Delivery], *, by: Any, via: str = "") -> int:
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
            note(found, "Redelivered.", by, via)
        if count:
            queue.wake_after_commit()
    return count


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
                finished_at=Now(),
            )
            note(found, "Cancelled.", by, via)
            queue.unpark_after_commit({delivery.webhook_id for delivery in found})
    return count


@sensitive_variables()
def create(webhook: Webhook, patterns: Iterable[str], *, by: Any, via: str = "") -> None:
    """Register a webhook that was checked, with what it subscribes to.

    Raises ValidationError when its name was taken in the meantime, and UnknownEventType.
    """
    with transaction.atomic(using=alias()):
        _save_named(webhook)
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
            locked_states([webhook.pk])
        stored = _locked(webhook, version)
        columns = {**_differing(stored, changes), **stored.credentials_from(changes)}
        events = set(changes.get("events", stored.patterns)) != set(stored.patterns)
        message = audit.changed(stored, columns, events)
        for name, value in columns.items():
            setattr(stored, name, value)
        if columns or events:
            _save_named(stored, update_fields=[*columns])
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
    _copy(stored, webhook)


@sensitive_variables()
def rotate_secret(
    webhook: Webhook, *, by: Any, secret: str | None = None, overlap: float | None = None, via: str = ""
) -> str:
    """Give the webhook a new secret, generated when none is given, and return it.

    The secret that receivers know goes on signing beside it for `overlap` seconds (None: ROTATION_OVERLAP; 0:
    no longer). Rotating again during an overlap still keeps that one: nobody need know the one in between. One
    that cannot be decrypted is replaced at once. Raises ValidationError for a secret that cannot sign, or an
    overlap out of bounds.
    """
    secret = signing.generate_secret() if secret is None else secret
    overlap = settings.ROTATION_OVERLAP if overlap is None else overlap
    _check_rotation(secret, overlap)
    with transaction.atomic(using=alias()):
        stored = _locked(webhook)
        now = queue.database_now()
        stored.replace_secret(secret, now=now, until=now + timedelta(seconds=overlap))
        stored.save(update_fields=SECRET_COLUMNS, using=alias())
        note([stored], audit.rotated(stored.previous_secret_expires_at), by, via)
    _copy(stored, webhook)
    return secret


def finish_rotation(webhook: Webhook, *, by: Any, via: str = "") -> bool:
    """End the overlap now: only the new secret signs. Return whether there was one to end."""
    with transaction.atomic(using=alias()):
        stored = _locked(webhook)
        rotating = stored.is_rotating(queue.database_now())
        if rotating:
            stored.forget_previous_secret()
            stored.save(update_fields=SECRET_COLUMNS[1:], using=alias())
            note([stored], "Rotation finished: only the new secret signs.", by, via)
    _copy(stored, webhook)
    return rotating


def remove_secret(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Send unsigned from now on."""
    webhook.secret = ""
    webhook.forget_previous_secret()
    _save(webhook, SECRET_COLUMNS, "Secret removed.", by, via)


def activate(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Send to the webhook again, beginning with what waited for it."""
    with transaction.atomic(using=alias()):
        queue.activated(webhook.pk, queue.database_now())
        webhook.is_active = True
        _save(webhook, ["is_active"], "Activated.", by, via)
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
    _save(webhook, ["is_active"], "Deactivated.", by, via)


def delete(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Hide the webhook and free its name. What it is still owed ends as cancelled when it falls due."""
    webhook.is_active = False
    webhook.deleted_at = queue.database_now()
    # What nothing will ever be sent with need not be kept.
    webhook.secret = webhook.custom_headers = webhook.authorization = ""
    webhook.forget_previous_secret()
    fields = ["is_active", "deleted_at", "custom_headers", "authorization", *SECRET_COLUMNS]
    _save(webhook, fields, "Deleted.", by, via, DELETED)


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


def _save(
    webhook: Webhook, fields: Sequence[str], message: str, by: Any, via: str, flag: int = CHANGED
) -> None:
    with transaction.atomic(using=alias()):
        webhook.save(update_fields=fields, using=alias())
        note([webhook], message, by, via, flag)


def _save_named(webhook: Webhook, **options: Any) -> None:
    try:
        with transaction.atomic(using=alias()):
            webhook.save(using=alias(), **options)
    except IntegrityError:
        # Somebody else took the name since it was looked up.
        raise ValidationError({"name": NAME_TAKEN}) from None


def _locked(webhook: Webhook, version: int | None = None) -> Webhook:
    """Return the row as it is now, locked against other changes but not against emitting."""
    rows = Webhook.objects.using(alias()).select_for_update(no_key=True)
    stored = rows.filter(pk=webhook.pk).first()
    if stored is None:
        raise ConcurrentChange("This webhook was deleted in the meantime.")
    if version is not None and stored.version != version:
        raise ConcurrentChange(CHANGED_SINCE)
    return stored


def _differing(stored: Webhook, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain columns among `changes`, as far as they say something new."""
    return {
        name: changes[name]
        for name in CHANGEABLE
        if name in changes and changes[name] != getattr(stored, name)
    }


def _copy(stored: Webhook, webhook: Webhook) -> None:
    """Bring the caller's object up to date, encrypted values as they are."""
    for field in Webhook._meta.concrete_fields:
        webhook.__dict__[field.attname] = stored.__dict__[field.attname]
    webhook.__dict__.pop("_prefetched_objects_cache", None)


@sensitive_variables()
def _check_rotation(secret: str, overlap: float) -> None:
    # Asked of a draft: a refused secret must not stay on the caller's webhook.
    draft = Webhook(secret=secret)
    draft.clean_fields(exclude={field.name for field in Webhook._meta.fields} - {"secret"})
    error = draft.secret_error() if secret else "A new secret cannot be empty."
    if error:
        raise ValidationError({"secret": error})
    if not 0 <= overlap <= LONGEST_OVERLAP:
        raise ValidationError({"overlap": "The former secret signs for 0 seconds to 30 days."})


def _ids(deliveries: Iterable[Delivery]) -> list[int]:
    return [delivery.pk for delivery in deliveries]


def _batches(deliveries: Iterable[Delivery]) -> Iterator[list[int]]:
    """Yield the ids in rising order, in which everybody locks deliveries."""
    ids = sorted(set(_ids(deliveries)))
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
