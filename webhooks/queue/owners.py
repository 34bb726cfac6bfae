"""The webhooks of claimed deliveries. One whose row has not changed is not made anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL

from ..models import Webhook
from ..models.database import connection
from .candidates import Candidate
from .rows import webhooks

# By id: the revision that was read (on SQLite the row itself), and the webhook. Encrypted values stay encrypted in it.
_read: dict[int, tuple[Any, Webhook]] = {}
_MOST = 5000


def owners_of(rows: Iterable[Candidate]) -> dict[int, Webhook]:
    """Return the webhooks of these rows by id, each at least as new as when its delivery was claimed."""
    wanted: dict[int, Any] = {row.webhook_id: row.revision for row in rows}
    db = connection()
    if db.vendor != "postgresql":
        wanted = _stored(db, wanted)
    known = {}
    for pk, revision in wanted.items():
        read = _read.get(pk)
        if read is not None and read[0] == revision:
            known[pk] = read[1]
    missing = {pk: revision for pk, revision in wanted.items() if pk not in known}
    if not missing:
        return known
    if len(_read) > _MOST:
        _read.clear()
    fetched = _fetched(missing) if db.vendor == "postgresql" else _fetched_as_stored(missing)
    _read.update(fetched)
    return {**known, **{pk: webhook for pk, (_, webhook) in fetched.items()}}


def _stored(db: BaseDatabaseWrapper, ids: Iterable[int]) -> dict[int, Any]:
    """Return the rows as they are stored: SQLite has no other revision, and to compare them is cheap."""
    table = db.ops.quote_name(Webhook._meta.db_table)
    with db.cursor() as cursor:
        cursor.execute(
            f"SELECT id, * FROM {table} WHERE id IN (SELECT value FROM json_each(%s))",  # noqa: S608  ours
            [json.dumps(list(ids))],
        )
        return {row[0]: row for row in cursor.fetchall()}


def _fetched(ids: Iterable[int]) -> dict[int, tuple[Any, Webhook]]:
    """Return webhooks with their revisions, for a row may have changed since it was looked at."""
    revision = RawSQL("webhooks_webhook.xmin::text::bigint", [], output_field=BigIntegerField())
    found: dict[int, Any] = webhooks().annotate(revision=revision).in_bulk(ids)
    return {pk: (webhook.revision, webhook) for pk, webhook in found.items()}


def _fetched_as_stored(stored: Mapping[int, Any]) -> dict[int, tuple[Any, Webhook]]:
    """The same on SQLite, where the claim's transaction is alone: what is read now is what was compared."""
    return {pk: (stored[pk], webhook) for pk, webhook in webhooks().in_bulk(stored).items()}
