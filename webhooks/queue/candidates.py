"""Candidates: which due rows a claim looks at, and what their webhooks allow."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ..conf import settings
from ..models import Delivery, Webhook, WebhookState
from ..models.database import connection

# How many of the earliest due rows a claim looks at.
HEAD = 2000
# A delivery whose claim was lost this often is claimed alone.
SUSPECT_AFTER = 3
# And at this number it ends.
WORKER_LOST_AFTER = 5


class Candidate(NamedTuple):
    """A due row, and what its webhook says of it."""

    id: int
    webhook_id: int
    waits: bool
    """It must be parked: its webhook is inactive or paused, or it is not the first of an ordered one."""
    is_deleted: bool
    """So is its webhook, and it must end."""
    lost_claims: int
    rate_limit: float | None
    ordered: bool
    revision: int
    """Changes whenever the webhook's row does (PostgreSQL's xmin); 0 where the database does not say."""

    @property
    def ending(self) -> tuple[str, str] | None:
        """The status and the reason with which the delivery ends unsent, if it does."""
        if self.is_deleted:
            return "cancelled", "webhook_deleted"
        if self.lost_claims >= WORKER_LOST_AFTER:
            return "failed", "worker_lost"
        return None

    @property
    def is_aside(self) -> bool:
        """Whether it is parked or ended, not sent."""
        return bool(self.waits or self.ending)


def candidates(now: datetime, limit: int, *, suspects: bool = False) -> list[Candidate]:
    """Return the earliest due rows, of each webhook no more than it leaves free.

    Webhooks that can take nothing more are left out before the head is cut off, so that their backlog hides
    nobody. A webhook that is paused, or was and has not delivered since, is tried with one delivery; one that
    has just recovered gets its backlog a few at a time. What must be set aside does not count against `limit`, and
    a backlog of it, of a webhook that was just paused or is ordered, hides nobody either.
    """
    found = _found(now, suspects=suspects)
    aside = [row for row in found if row.is_aside]
    if len(aside) >= HEAD // 2:
        found = _found(now, suspects=suspects, sendable_only=True)
    return [*aside, *[row for row in found if not row.is_aside][:limit]]


def _found(now: datetime, *, suspects: bool, sendable_only: bool = False) -> list[Candidate]:
    """Return the candidates in the order in which they fell due."""
    db = connection()
    parameters = {"now": db.ops.adapt_datetimefield_value(now), "cap": settings.IN_FLIGHT_PER_WEBHOOK}
    lost_claims, aside = ">=" if suspects else "<", "FALSE" if sendable_only else "aside"
    with db.cursor() as cursor:
        cursor.execute(_sql(db, lost_claims, aside), parameters)
        return [Candidate._make(row) for row in cursor.fetchall()]


def _sql(db: BaseDatabaseWrapper, lost_claims: str, aside: str) -> str:
    return f"""
        WITH {_due(db, lost_claims)}, sorted AS (
            SELECT due.*, waits OR is_deleted OR lost_claims >= {WORKER_LOST_AFTER} AS aside FROM due
        ), head AS (
            SELECT * FROM sorted WHERE {aside} OR (free > 0 AND sendable AND NOT aside)
            ORDER BY due_at, id LIMIT {HEAD}
        ), ranked AS (
            SELECT head.*, ROW_NUMBER() OVER (PARTITION BY webhook_id, aside ORDER BY due_at, id) AS place
            FROM head
        )
        SELECT id, webhook_id, waits, is_deleted, lost_claims, rate_limit, ordered, revision FROM ranked
        WHERE aside OR place <= free ORDER BY due_at, id
    """  # noqa: S608  names and constants are ours; every value is a parameter


def _due(db: BaseDatabaseWrapper, lost_claims: str) -> str:
    """Return the due rows, each with what its webhook leaves free and whether it must wait."""
    models = (Delivery, Webhook, WebhookState)
    delivery, webhook, state = (db.ops.quote_name(model._meta.db_table) for model in models)
    postgresql = db.vendor == "postgresql"
    least = "LEAST" if postgresql else "MIN"
    revision = "webhook.xmin::text::bigint" if postgresql else "0"
    return f"""in_flight AS (
            SELECT webhook_id, COUNT(*) AS number FROM {delivery}
            WHERE status = 'pending' AND claim IS NOT NULL AND due_at > %(now)s GROUP BY webhook_id
        ), due AS (
            SELECT delivery.id, delivery.webhook_id, delivery.due_at, delivery.lost_claims,
                   {least}(
                       %(cap)s,
                       COALESCE(NULLIF(webhook.max_in_flight, 0), %(cap)s),
                       COALESCE(state.drip, %(cap)s),
                       CASE WHEN webhook.ordered OR state.paused_until IS NOT NULL THEN 1 ELSE %(cap)s END
                   ) - COALESCE(in_flight.number, 0) AS free,
                   NOT webhook.is_active
                   OR (state.paused_until IS NOT NULL AND state.paused_until > %(now)s)
                   OR (webhook.ordered AND EXISTS (
                       SELECT 1 FROM {delivery} AS earlier
                       WHERE earlier.webhook_id = delivery.webhook_id AND earlier.status = 'pending'
                         AND earlier.id < delivery.id
                   )) AS waits,
                   webhook.deleted_at IS NOT NULL AS is_deleted,
                   webhook.rate_limit IS NULL OR state.sendable_at IS NULL OR state.sendable_at <= %(now)s
                   AS sendable,
                   webhook.rate_limit, webhook.ordered, {revision} AS revision
            FROM {delivery} AS delivery
            JOIN {webhook} AS webhook ON webhook.id = delivery.webhook_id
            LEFT JOIN {state} AS state ON state.webhook_id = delivery.webhook_id
            LEFT JOIN in_flight ON in_flight.webhook_id = delivery.webhook_id
            WHERE delivery.status = 'pending' AND delivery.due_at <= %(now)s
              AND delivery.lost_claims {lost_claims} {SUSPECT_AFTER}
        )"""  # noqa: S608  as above
