"""The webhooks of claimed deliveries. A row that has not changed is not read again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL

from ..models import Webhook
from ..models.database import connection
from .candidates import Candidate
from .rows import webhooks

# By id: the revision that was read, and the webhook. Encrypted values stay encrypted in it.
_read: dict[int, tuple[int, Webhook]] = {}
_MOST = 5000


def owners_of(rows: Iterable[Candidate]) -> dict[int, Webhook]:
    """Return the webhooks of these rows by id, each at least as new as its row says."""
    wanted = {row.webhook_id: row.revision for row in rows}
    known = {pk: _read[pk][1] for pk, revision in wanted.items() if revision and _is_read(pk, revision)}
    missing = wanted.keys() - known.keys()
    return {**known, **_fetched(missing)} if missing else known


def _is_read(pk: int, revision: int) -> bool:
    return pk in _read and _read[pk][0] == revision


def _fetched(ids: Iterable[int]) -> dict[int, Webhook]:
    if connection().vendor != "postgresql":
        return webhooks().in_bulk(ids)
    if len(_read) > _MOST:
        _read.clear()
    revision = RawSQL("webhooks_webhook.xmin::text::bigint", [], output_field=BigIntegerField())
    found: dict[int, Any] = webhooks().annotate(revision=revision).in_bulk(ids)
    _read.update({pk: (webhook.revision, webhook) for pk, webhook in found.items()})
    return found
