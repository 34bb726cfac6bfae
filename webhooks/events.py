"""emit → fan out → wake: from a fact to the deliveries that it owes, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from . import catalogue, idempotency, leaving, queue, quotas
from .conf import settings
from .encoding import freeze
from .exceptions import InvalidPayload
from .fanout import fan_out
from .models import Event
from .models.database import alias
from .signals import event_emitted

MAX_KEY_LENGTH = 255


@dataclass(frozen=True)
class NewEvent:
    """What is to be emitted."""

    type: str
    """A registered event type."""
    workspace: Any
    """An instance of the project's workspace model."""
    data: Any
    """Anything that JSON can say."""
    idempotency_key: str | None = None
    """Emitting again with the same key, in the same workspace, is the same event."""
    subject: str = ""
    """The label and key of what it is about, for people to search by."""


def emit(
    type: str,  # noqa: A002  the contract's name
    *,
    workspace: Any,
    data: Any,
    idempotency_key: str | None = None,
    subject: str = "",
) -> Event:
    """Record a fact, and owe it to each active webhook of the workspace that is subscribed to its type.

    All of it happens in the caller's transaction: commit means that the deliveries exist, rollback that they
    never did. With a key already used for the same event, that event is returned and nothing is written.
    Above the workspace's quota of events per minute, the deliveries fall due later.
    In a workspace that is being deleted nothing is written either, and the event returned is unsaved.

    Raises UnknownEventType, InvalidPayload or IdempotencyConflict, before anything is written.
    """
    [event] = emit_many(
        [
            NewEvent(
                type=type, workspace=workspace, data=data, idempotency_key=idempotency_key, subject=subject
            )
        ]
    )
    return event


def emit_many(new_events: Iterable[NewEvent]) -> list[Event]:
    """Emit all of them, or none, in a few statements for each thousand. Raises what `emit` raises."""
    now = timezone.now()
    drafts = [_draft(new_event, now) for new_event in new_events]
    with transaction.atomic(using=alias()):
        gone = leaving.marked()
        drafts_kept = [draft for draft in drafts if draft.workspace_id not in gone]
        quotas.hold(drafts_kept)
        stands_for = idempotency.write(drafts_kept)
        written = [draft for draft in drafts if stands_for.get(draft.pk) is draft]
        owed = fan_out(written)
        for event in written:
            event_emitted.send_robust(sender=Event, event=event)
        if owed:
            queue.wake_after_commit()
    return [stands_for.get(draft.pk, draft) for draft in drafts]


def _draft(new_event: NewEvent, now: datetime) -> Event:
    """Check everything that can be checked before anything is written."""
    catalogue.get(new_event.type)
    key = new_event.idempotency_key
    if key is not None and (not key or len(key) > MAX_KEY_LENGTH or "\x00" in key):
        raise InvalidPayload(f"An idempotency key has 1 to {MAX_KEY_LENGTH} characters, none of them NUL.")
    event = event_of(new_event.type, new_event.workspace, freeze(new_event.data), now)
    event.subject = new_event.subject[:255]
    event.idempotency_key = key
    return event


def event_of(type_name: str, workspace: Any, data: str, now: datetime) -> Event:
    """Return the unsaved event of a fact. `data` is JSON text, as `encoding.freeze` returns it."""
    return Event(
        workspace=workspace,
        workspace_key=str(getattr(workspace, settings.WORKSPACE_LOOKUP_FIELD)),
        type=type_name,
        data=data,
        occurred_at=now,
    )
