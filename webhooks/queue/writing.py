"""Writing: the statements by which a batch of attempts, and what they did to their deliveries, is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ..models import Attempt, Delivery, Webhook, WebhookState
from ..models.database import alias, connection
from .candidate_sql import IS_STILL_PENDING
from .rows import pending, states, webhooks
from .states import HEALTHY
from .verdict import Verdict

# The columns of an attempt and of what it did to its delivery, with PostgreSQL's types.
_ATTEMPT = {
    "delivery_id": "bigint",
    "number": "int",
    "started_at": "timestamptz",
    "duration_ms": "int",
    "outcome": "text",
    "status_code": "int",
    "error_kind": "text",
    "error": "text",
    "request_method": "text",
    "request_url": "text",
    "request_headers": "jsonb",
    "request_body_sha256": "text",
    "response_headers": "jsonb",
    "response_body": "text",
    "response_truncated": "bool",
}
_VERDICT = {
    "claim": "uuid",
    "status": "text",
    "ended_because": "text",
    "due_at": "timestamptz",
    "ours": "int",
}


@dataclass
class Written:
    """What the batch came to, and what must be known of its webhooks."""

    owners: dict[int, int] = field(default_factory=dict)
    """The deliveries that still carried their claim, each with its webhook."""
    ordered: set[int] = field(default_factory=set)
    """Those of the webhooks that are ordered."""
    unwell: set[int] = field(default_factory=set)
    """Those whose state is not simply well."""


def write(verdicts: Sequence[Verdict], now: datetime) -> Written:
    """Insert the attempts, each marked late whose delivery has gone on, and update the other deliveries."""
    db = connection()
    if db.vendor == "postgresql":
        return _written_in_one(db, verdicts, now)
    # SQLite: whoever is in a transaction is alone, so nothing is locked.
    owners = _fenced(verdicts)
    for verdict in verdicts:
        verdict.attempt.late = verdict.attempt.delivery_id not in owners
    _insert(db, [verdict.attempt for verdict in verdicts])
    _update(db, [verdict for verdict in verdicts if not verdict.attempt.late], now)
    concerned = set(owners.values())
    ordered = webhooks().filter(pk__in=concerned, ordered=True).values_list("pk", flat=True)
    unwell = states().filter(webhook__in=concerned).exclude(HEALTHY).values_list("webhook_id", flat=True)
    return Written(owners, set(ordered), set(unwell))


def _fenced(verdicts: Iterable[Verdict]) -> dict[int, int]:
    """Return the deliveries that still carry the claim they were sent under, each with its webhook."""
    claims = {verdict.attempt.delivery_id: verdict.claim for verdict in verdicts}
    rows = pending().filter(pk__in=claims).values_list("pk", "claim", "webhook_id")
    return {pk: webhook_id for pk, held, webhook_id in rows if held == claims[pk]}


def _insert(db: BaseDatabaseWrapper, attempts: Sequence[Attempt]) -> None:
    """Insert the attempts row by row, in C: the ORM's statement for many takes long to write out."""
    columns = [*_ATTEMPT, "late"]
    sql = f"""
        INSERT INTO {db.ops.quote_name(Attempt._meta.db_table)} ({", ".join(columns)})
        VALUES ({", ".join(["%s"] * len(columns))})
    """  # noqa: S608  names are ours; every value is a parameter
    stored: dict[str, Callable[[Any], Any]] = {
        "started_at": db.ops.adapt_datetimefield_value,
        "request_headers": json.dumps,
        "response_headers": json.dumps,
    }
    rows = []
    for attempt in attempts:
        values = attempt.__dict__
        rows.append([stored[name](values[name]) if name in stored else values[name] for name in columns])
    with db.cursor() as cursor:
        cursor.executemany(sql, rows)
        cursor.execute("SELECT last_insert_rowid()", [])
        [last] = cursor.fetchone()
    # Nobody else inserts meanwhile, so the keys rise by one.
    for place, attempt in enumerate(reversed(attempts)):
        _stored_as(attempt, last - place)


def _stored_as(attempt: Attempt, key: int) -> None:
    attempt.id = key
    attempt._state.adding, attempt._state.db = False, alias()


def _update(db: BaseDatabaseWrapper, mine: Sequence[Verdict], now: datetime) -> None:
    sql = f"""
        UPDATE {db.ops.quote_name(Delivery._meta.db_table)}
        SET status = %s, ended_because = %s, due_at = %s, finished_at = %s, claim = NULL, lost_claims = 0,
            attempt_count = attempt_count + 1, attempts_before = attempts_before + %s
        WHERE id = %s
    """  # noqa: S608  as above
    moment = db.ops.adapt_datetimefield_value
    rows = [
        (
            one.status,
            one.ended_because,
            moment(one.due_at),
            None if one.status == "pending" else moment(now),
            int(one.is_ours),
            one.attempt.delivery_id,
        )
        for one in mine
    ]
    with db.cursor() as cursor:
        cursor.executemany(sql, rows)


def _written_in_one(db: BaseDatabaseWrapper, verdicts: Sequence[Verdict], now: datetime) -> Written:
    """On PostgreSQL: the same in one statement.

    The rows travel as one JSON document: twenty arrays would be written out by Python, element by element.
    """
    written = Written()
    rows = json.dumps(
        [_row(place, one) for place, one in enumerate(verdicts)], ensure_ascii=False, default=str
    )
    with db.cursor() as cursor:
        cursor.execute(_sql(db), [rows, now])
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    for verdict in verdicts:
        key, webhook_id, ordered, unwell = found[verdict.attempt.delivery_id]
        _stored_as(verdict.attempt, key)
        verdict.attempt.late = webhook_id is None
        if webhook_id is not None:
            written.owners[verdict.attempt.delivery_id] = webhook_id
            written.ordered.update([webhook_id] if ordered else [])
            written.unwell.update([webhook_id] if unwell else [])
    return written


# One claim has many rows.
_text = lru_cache(maxsize=1024)(str)


def _row(place: int, verdict: Verdict) -> dict[str, Any]:
    values = verdict.attempt.__dict__
    row = {name: values[name] for name in _ATTEMPT}
    row.update(
        place=place,
        claim=_text(verdict.claim),
        status=verdict.status,
        ended_because=verdict.ended_because,
        due_at=verdict.due_at,
        ours=int(verdict.is_ours),
    )
    return row


def _sql(db: BaseDatabaseWrapper) -> str:
    models = (Delivery, Attempt, Webhook, WebhookState)
    delivery, attempt, webhook, state = (db.ops.quote_name(model._meta.db_table) for model in models)
    columns = ", ".join(f"{name} {kind}" for name, kind in {**_ATTEMPT, **_VERDICT, "place": "int"}.items())
    values = ", ".join(f"verdict.{name}" for name in _ATTEMPT)
    return f"""
        WITH verdict AS MATERIALIZED (
            SELECT * FROM json_to_recordset(%s::json) AS given({columns})
        ), fenced AS MATERIALIZED (
            SELECT delivery.id FROM {delivery} AS delivery
            JOIN verdict ON verdict.delivery_id = delivery.id
            WHERE delivery.{IS_STILL_PENDING} AND delivery.claim IS NOT DISTINCT FROM verdict.claim
            ORDER BY delivery.id FOR UPDATE OF delivery
        ), updated AS (
            UPDATE {delivery} AS delivery SET
                status = verdict.status, ended_because = verdict.ended_because, due_at = verdict.due_at,
                finished_at = CASE WHEN verdict.status = 'pending' THEN NULL ELSE %s::timestamptz END,
                claim = NULL, lost_claims = 0, attempt_count = delivery.attempt_count + 1,
                attempts_before = delivery.attempts_before + verdict.ours
            FROM verdict JOIN fenced ON fenced.id = verdict.delivery_id
            WHERE delivery.id = verdict.delivery_id
            RETURNING delivery.id, delivery.webhook_id
        ), inserted AS (
            INSERT INTO {attempt} ({", ".join(_ATTEMPT)}, late)
            SELECT {values}, fenced.id IS NULL FROM verdict
            LEFT JOIN fenced ON fenced.id = verdict.delivery_id ORDER BY verdict.place
            RETURNING id, delivery_id
        )
        SELECT inserted.delivery_id, inserted.id, updated.webhook_id, webhook.ordered,
               state.webhook_id IS NOT NULL AND (
                   state.consecutive_failures > 0 OR state.paused_until IS NOT NULL
                   OR state.drip IS NOT NULL OR state.told > 0)
        FROM inserted
        LEFT JOIN updated ON updated.id = inserted.delivery_id
        LEFT JOIN {webhook} AS webhook ON webhook.id = updated.webhook_id
        LEFT JOIN {state} AS state ON state.webhook_id = updated.webhook_id
    """  # noqa: S608  names and types are ours; every value is a parameter
