"""Claim: take due deliveries, exclusively and fairly; park or end what must not be sent."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from ..conf import settings
from ..models import Delivery, Event, Webhook, WebhookState
from ..models.database import alias, connection
from .clock import database_now, is_due
from .pacing import within_rates
from .parking import park, release
from .rows import deliveries, pending, webhooks

# How many of the earliest due rows a claim looks at.
HEAD = 2000
# A delivery whose claim was lost this often is claimed alone, and at the second number it ends.
SUSPECT_AFTER = 3
WORKER_LOST_AFTER = 5
# The key of the advisory lock under which claims take turns (any number that is ours alone).
_CLAIM_LOCK = 0x77656268


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one claim did. The deliveries have their `event` and `webhook` loaded."""

    token: uuid.UUID
    now: datetime
    """The database's clock when the rows were taken."""
    monotonic: float
    """This process's monotonic clock before that: the lease is counted from here."""
    deliveries: Sequence[Delivery] = ()
    touched: int = 0
    """Rows taken, parked or ended."""

    def moment(self, monotonic: float) -> datetime:
        """Return the database's time at a reading of the monotonic clock."""
        return self.now + timedelta(seconds=monotonic - self.monotonic)


def claim(limit: int, *, alone: bool, now: datetime | None = None) -> Claim:
    """Take up to `limit` due deliveries, of each webhook no more than its cap and its rate leave free.

    `alone`: nothing of the caller's is in flight. Only then is a delivery taken that may be killing workers,
    and with nothing beside it. What is due but must not be sent is parked or ended on the way.
    """
    started = time.monotonic()
    token = uuid.uuid4()
    if limit <= 0 or not is_due(now):
        return Claim(token=token, now=now or database_now(), monotonic=started)
    with transaction.atomic(using=alias()):
        _take_turn(connection())
        moment = now or database_now()
        must_wait = (_candidates(moment, 1, suspects=True) if alone else {}) or _candidates(moment, limit)
        sorted_out = _sorted_out(_locked(must_wait, moment), must_wait, moment)
        taken = within_rates(sorted_out.sendable, moment)
        deliveries().filter(pk__in=[delivery.pk for delivery in taken]).update(
            claim=token, due_at=moment + timedelta(seconds=settings.LEASE), lost_claims=F("lost_claims") + 1
        )
    touched = len(taken) + sorted_out.touched
    return Claim(token=token, now=moment, monotonic=started, deliveries=taken, touched=touched)


def _take_turn(db: BaseDatabaseWrapper) -> None:
    """Let claims take turns, so that the cap per webhook is exact; SQLite's transactions do so anyway.

    A claimer that hangs must not stop the others: after a while they go on without their turn. Then the cap
    may be exceeded for a moment; that a row is claimed once rests on its own lock.
    """
    if db.vendor != "postgresql":
        return
    with db.cursor() as cursor:
        for _ in range(500):
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_CLAIM_LOCK])
            if cursor.fetchone()[0]:
                return
            time.sleep(0.002)


def _candidates(now: datetime, limit: int, *, suspects: bool = False) -> dict[int, bool]:
    """Return the ids of the earliest due rows, of each webhook no more than it leaves free; True: it must wait.

    Webhooks that can take nothing more are left out before the head is cut off, so that their backlog hides
    nobody. A webhook that is paused, or was and has not delivered since, is tried with one delivery; one that
    has just recovered gets its backlog a few at a time. What must wait does not count against `limit`, and a
    backlog of it, of a webhook that was just paused or is ordered, hides nobody either.
    """
    found = _found(now, suspects=suspects)
    waiting = [pk for pk, waits in found if waits]
    if len(waiting) >= HEAD // 2:
        found += _found(now, suspects=suspects, alone=True)
    sendable = dict.fromkeys(pk for pk, waits in found if not waits)
    return {**dict.fromkeys(waiting, True), **dict.fromkeys(list(sendable)[:limit], False)}


def _found(now: datetime, *, suspects: bool, alone: bool = False) -> list[tuple[int, bool]]:
    """Return the candidates in the order in which they fell due; `alone`: those that can be sent, alone."""
    db = connection()
    parameters = {
        "now": db.ops.adapt_datetimefield_value(now),
        "cap": settings.IN_FLIGHT_PER_WEBHOOK,
    }
    lost_claims, waiting = ">=" if suspects else "<", "FALSE" if alone else "waits"
    with db.cursor() as cursor:
        cursor.execute(_candidates_sql(db, lost_claims, waiting), parameters)
        return [(pk, bool(waits)) for pk, waits in cursor.fetchall()]


def _candidates_sql(db: BaseDatabaseWrapper, lost_claims: str, waiting: str) -> str:
    models = (Delivery, Webhook, WebhookState)
    delivery, webhook, state = (db.ops.quote_name(model._meta.db_table) for model in models)
    least = "LEAST" if db.vendor == "postgresql" else "MIN"
    return f"""
        WITH in_flight AS (
            SELECT webhook_id, COUNT(*) AS number FROM {delivery}
            WHERE status = 'pending' AND claim IS NOT NULL AND due_at > %(now)s GROUP BY webhook_id
        ), due AS (
            SELECT delivery.id, delivery.webhook_id, delivery.due_at,
                   {least}(
                       %(cap)s,
                       COALESCE(NULLIF(webhook.max_in_flight, 0), %(cap)s),
                       COALESCE(state.drip, %(cap)s),
                       CASE WHEN webhook.ordered OR state.paused_until IS NOT NULL THEN 1 ELSE %(cap)s END
                   ) - COALESCE(in_flight.number, 0) AS free,
                   NOT webhook.is_active OR webhook.deleted_at IS NOT NULL
                   OR (state.paused_until IS NOT NULL AND state.paused_until > %(now)s)
                   OR (webhook.ordered AND EXISTS (
                       SELECT 1 FROM {delivery} AS earlier
                       WHERE earlier.webhook_id = delivery.webhook_id AND earlier.status = 'pending'
                         AND earlier.id < delivery.id
                   )) AS waits,
                   webhook.rate_limit IS NULL OR state.sendable_at IS NULL OR state.sendable_at <= %(now)s AS sendable
            FROM {delivery} AS delivery
            JOIN {webhook} AS webhook ON webhook.id = delivery.webhook_id
            LEFT JOIN {state} AS state ON state.webhook_id = delivery.webhook_id
            LEFT JOIN in_flight ON in_flight.webhook_id = delivery.webhook_id
            WHERE delivery.status = 'pending' AND delivery.due_at <= %(now)s
              AND delivery.lost_claims {lost_claims} {SUSPECT_AFTER}
        ), head AS (
            SELECT * FROM due WHERE {waiting} OR (free > 0 AND sendable AND NOT waits) ORDER BY due_at, id LIMIT {HEAD}
        ), ranked AS (
            SELECT id, due_at, free, waits,
                   ROW_NUMBER() OVER (PARTITION BY webhook_id, waits ORDER BY due_at, id) AS place FROM head
        )
        SELECT id, waits FROM ranked WHERE waits OR place <= free ORDER BY due_at, id
    """  # noqa: S608  names and constants are ours; every value is a parameter


def _locked(must_wait: Mapping[int, bool], now: datetime) -> list[Delivery]:
    """Lock and load the rows that are still due: the lock repeats every condition that made them so.

    What must wait comes without its event, which may be large.
    """
    if not must_wait:
        return []
    rows = pending().filter(pk__in=must_wait, due_at__lte=now).order_by("due_at", "pk")
    found = list(rows.select_for_update(skip_locked=True, of=("self",)))
    wanted = {delivery.event_id for delivery in found if not must_wait[delivery.pk]}
    events = Event.objects.using(alias()).in_bulk(wanted)
    owners = webhooks().in_bulk({delivery.webhook_id for delivery in found})
    for delivery in found:
        delivery.webhook = owners[delivery.webhook_id]
        # Without a constraint an event may be missing (removed by hand, a partial restore).
        if delivery.event_id in events:
            delivery.event = events[delivery.event_id]
    return found


@dataclass(frozen=True)
class _SortedOut:
    sendable: list[Delivery]
    touched: int
    """Rows parked or ended."""


def _sorted_out(found: Iterable[Delivery], must_wait: Mapping[int, bool], now: datetime) -> _SortedOut:
    """Park what waits for its webhook, end what can never be sent, and return the rest."""
    sendable, waiting = [], []
    ended: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for delivery in found:
        waits = must_wait[delivery.pk] or not delivery.webhook.is_active
        ending = _ending(delivery, waits)
        if ending is not None:
            ended[ending].append(delivery)
        elif waits:
            waiting.append(delivery.pk)
        else:
            sendable.append(delivery)
    parked = park(waiting, now) if waiting else 0
    for (status, because), rows in ended.items():
        _end(rows, status, because, now)
    return _SortedOut(sendable, parked + sum(map(len, ended.values())))


def _ending(delivery: Delivery, waits: bool) -> tuple[str, str] | None:
    """Return the status and the reason with which a delivery ends unsent, if it does."""
    if delivery.webhook.deleted_at is not None:
        return "cancelled", "webhook_deleted"
    if delivery.lost_claims >= WORKER_LOST_AFTER:
        return "failed", "worker_lost"
    if not waits and not Delivery.event.is_cached(delivery):
        return "failed", "permanent"
    return None


def _end(rows: Collection[Delivery], status: str, because: str, now: datetime) -> None:
    deliveries().filter(pk__in=[delivery.pk for delivery in rows]).update(
        status=status, ended_because=because, due_at=None, claim=None, finished_at=now
    )
    ordered = {delivery.webhook_id for delivery in rows if delivery.webhook.ordered}
    if ordered:
        release(ordered, now)
