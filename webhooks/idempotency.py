"""Writing events so that an idempotency key, in its workspace, stands for one event only."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from .exceptions import IdempotencyConflict
from .models import Event
from .models.database import alias, connection, stored_key

# How many events one statement writes. A database bounds the parameters of a statement.
BATCH = 1000

_Key = tuple[Any, str]
"""A workspace's primary key and an idempotency key."""


def write(drafts: Sequence[Event]) -> Mapping[uuid.UUID, Event]:
    """Insert the drafts, and return for each one's id the event that stands for it from now on.

    That is the draft itself, or the event that had its idempotency key before. Raises IdempotencyConflict when
    that was another one; the caller's transaction must then be rolled back.
    """
    plain = [draft for draft in drafts if draft.idempotency_key is None]
    firsts = _first_of_each_key(drafts)
    Event.objects.using(alias()).bulk_create(plain, batch_size=BATCH)
    holders: dict[_Key, Event] = {}
    # Two transactions that use the same keys must not wait for each other: everybody takes them in one order.
    keys = sorted(firsts, key=lambda key: (str(key[0]), key[1]))
    for start in range(0, len(keys), BATCH):
        holders |= _holders([firsts[key] for key in keys[start : start + BATCH]])
    stands_for = {}
    for draft in drafts:
        stands_for[draft.pk] = draft if draft.idempotency_key is None else holders[_key(draft)]
        _check_same(draft, stands_for[draft.pk])
    return stands_for


def _key(event: Event) -> _Key:
    return event.workspace_id, str(event.idempotency_key)


def _first_of_each_key(drafts: Sequence[Event]) -> dict[_Key, Event]:
    firsts: dict[_Key, Event] = {}
    for draft in drafts:
        if draft.idempotency_key is not None:
            firsts.setdefault(_key(draft), draft)
    return firsts


def _holders(drafts: Sequence[Event]) -> dict[_Key, Event]:
    """Insert those drafts whose key is free, and return the event that has each one's key: the draft, if it was."""
    events = Event.objects.using(alias())
    # ON CONFLICT waits for a transaction that is inserting the same key, and does nothing if that commits.
    events.bulk_create(drafts, ignore_conflicts=True)
    by_id = {draft.pk: draft for draft in drafts}
    return {_key(stored): by_id.get(stored.pk, stored) for stored in events.raw(*_select_by_keys(drafts))}


def _select_by_keys(drafts: Sequence[Event]) -> tuple[str, list[Any]]:
    quote = connection().ops.quote_name
    workspace = str(Event._meta.get_field("workspace").column)
    pairs = ", ".join(["(%s, %s)"] * len(drafts))
    sql = f"""
        SELECT * FROM {quote(Event._meta.db_table)}
        WHERE ({quote(workspace)}, idempotency_key) IN (VALUES {pairs})
    """  # noqa: S608  names are ours; every value is a parameter
    parameters: list[Any] = []
    for draft in drafts:
        parameters += [stored_key(draft.workspace_id), draft.idempotency_key]
    return sql, parameters


def _check_same(draft: Event, holder: Event) -> None:
    if (holder.type, holder.data) != (draft.type, draft.data):
        raise IdempotencyConflict(
            f"The idempotency key {draft.idempotency_key!r} was already used for another event."
        )
