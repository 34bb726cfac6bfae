"""emit → fan out → wake: from a fact to the deliveries that it owes, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from . import catalogue, queue
from .conf import settings
from .encoding import freeze
from .exceptions import IdempotencyConflict, InvalidPayload
from .models import Delivery, Event, Subscription, Webhook
from .models.database import alias, connection
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
    """Emit all of them, or none. Raises what `emit` raises."""
    now = timezone.now()
    drafts = [_draft(new_event, now) for new_event in new_events]
    events = []
    with transaction.atomic(using=alias()):
        for draft in drafts:
            if is_leaving(draft.workspace_id):
                events.append(draft)
                continue
            event = _written(draft)
            if event is draft:
                fan_out(event)
                event_emitted.send_robust(sender=Event, event=event)
            events.append(event)
        queue.wake_after_commit()
    return events


def fan_out(event: Event) -> int:
    """Create the event's deliveries and return how many: one for each active, subscribed webhook.

    `FOR KEY SHARE` keeps each webhook's row until the commit, so that deleting one meanwhile cannot make the
    caller's commit fail on a foreign key. `due_at` comes from the database's clock.
    """
    db = connection()
    quote = db.ops.quote_name
    lock = "FOR KEY SHARE OF webhook" if db.vendor == "postgresql" else ""
    clock = queue.clock_sql(db)
    sql = f"""
        INSERT INTO {quote(Delivery._meta.db_table)}
            (event_id, webhook_id, workspace_id, event_type, status, ended_because, due_at, claim,
             lost_claims, attempt_count, attempts_before, created_at, finished_at)
        SELECT %s, webhook.id, webhook.workspace_id, %s, 'pending', '', {clock}, NULL, 0, 0, 0, {clock}, NULL
        FROM {quote(Webhook._meta.db_table)} AS webhook
        WHERE webhook.workspace_id = %s AND webhook.is_active AND webhook.deleted_at IS NULL
          AND EXISTS (
            SELECT 1 FROM {quote(Subscription._meta.db_table)} AS subscription
            WHERE subscription.webhook_id = webhook.id AND subscription.pattern IN (%s, %s, %s))
        ORDER BY webhook.id
        {lock}
        ON CONFLICT DO NOTHING
    """  # noqa: S608  table names and the clock are ours; every value is a parameter
    workspace_id = Event._meta.get_field("workspace").get_db_prep_value(event.workspace_id, db)
    event_id = Event._meta.pk.get_db_prep_value(event.pk, db)
    with db.cursor() as cursor:
        cursor.execute(sql, [event_id, event.type, workspace_id, *catalogue.patterns_matching(event.type)])
        return cursor.rowcount


class _Leaving:
    """Marks a workspace as being deleted, for as long as the transaction that deletes it may still do so.

    It is registered as an on-commit callback that does nothing: Django drops those with the savepoint or
    transaction that is rolled back, so a deletion that failed leaves no mark behind.
    """

    def __init__(self, workspace_id: Any) -> None:
        self.workspace_id = workspace_id
        self.active = True

    def __call__(self) -> None:
        """Do nothing: being registered is all that a mark does."""


def mark_leaving(workspace_id: Any) -> None:
    """Emit nothing for this workspace from here on: the current transaction is deleting it."""
    transaction.on_commit(_Leaving(workspace_id), using=alias())


def forget_leaving(workspace_id: Any) -> None:
    for mark in _marks(workspace_id):
        mark.active = False


def is_leaving(workspace_id: Any) -> bool:
    return any(mark.active for mark in _marks(workspace_id))


def _marks(workspace_id: Any) -> list[_Leaving]:
    callbacks = (entry[1] for entry in connection().run_on_commit)
    return [mark for mark in callbacks if isinstance(mark, _Leaving) and mark.workspace_id == workspace_id]


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


def _written(draft: Event) -> Event:
    """Insert the draft and return it, or return the event that already has its idempotency key."""
    if draft.idempotency_key is None:
        draft.save(force_insert=True, using=alias())
        return draft
    # ON CONFLICT waits for a transaction that is inserting the same key, and does nothing if that commits.
    Event.objects.using(alias()).bulk_create([draft], ignore_conflicts=True)
    stored = Event.objects.using(alias()).get(
        workspace=draft.workspace_id, idempotency_key=draft.idempotency_key
    )
    if stored.pk == draft.pk:
        return draft
    if (stored.type, stored.data) != (draft.type, draft.data):
        raise IdempotencyConflict(
            f"The idempotency key {draft.idempotency_key!r} was already used for another event."
        )
    return stored
