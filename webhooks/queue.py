"""The SQL of the queue: who may send what, and what has become of it.

A delivery is in flight while `claim` is set and `due_at`, then the end of the lease, has not passed. Every
statement that ends a claim names it, so a worker whose lease ran out can no longer change anything.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q
from django.db.models.functions import Now
from django_q.tasks import async_task

from .conf import settings
from .models import Attempt, Delivery, Event, Waker, Webhook, WebhookState
from .models.database import alias, connection
from .retry import Outcome

# How many of the earliest due rows a claim looks at.
HEAD = 2000
# A delivery whose claim was lost this often is claimed alone, and at the second number it ends.
SUSPECT_AFTER = 3
WORKER_LOST_AFTER = 5
# A wake-up that was asked for and did not come is asked for again after this time.
WAKE_AGAIN = timedelta(seconds=30)
LINGER_LEASE = timedelta(seconds=5)
# What falls due within this time is waited for; the sweep, each minute, finds the rest.
SWEEP_INTERVAL = timedelta(seconds=60)
UNPARK_BATCH = 5000
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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an attempt did to its delivery."""

    claim: uuid.UUID
    attempt: Attempt
    outcome: Outcome
    status: str
    ended_because: str
    due_at: datetime | None


def clock_sql(db: BaseDatabaseWrapper) -> str:
    """Return the expression for the database's clock, to stand in a statement that has parameters."""
    if db.vendor == "postgresql":
        return "statement_timestamp()"
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def database_now() -> datetime:
    """Return the database's clock, which alone decides what is due."""
    db = connection()
    with db.cursor() as cursor:
        cursor.execute(f"SELECT {clock_sql(db)}", [])
        [value] = cursor.fetchone()
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    return value


# Claim


def claim(limit: int, *, alone: bool, now: datetime | None = None) -> Claim:
    """Take up to `limit` due deliveries, no webhook more than IN_FLIGHT_PER_WEBHOOK in flight altogether.

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
        ids = (_suspect(moment) if alone else []) or _candidates(moment, limit)
        found = _locked(ids, moment)
        taken = _sorted_out(found, moment)
        _deliveries().filter(pk__in=[delivery.pk for delivery in taken]).update(
            claim=token, due_at=moment + timedelta(seconds=settings.LEASE), lost_claims=F("lost_claims") + 1
        )
    return Claim(token=token, now=moment, monotonic=started, deliveries=taken, touched=len(found))


def is_due(now: datetime | None = None) -> bool:
    """Return whether any delivery is due: a plain SELECT, which takes no lock."""
    return _pending().filter(due_at__lte=Now() if now is None else now).exists()


def next_due_at() -> datetime | None:
    """Return when the earliest pending delivery falls due, those in flight counted with their lease's end."""
    return _pending().filter(due_at__isnull=False).order_by("due_at").values_list("due_at", flat=True).first()


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


def _suspect(now: datetime) -> list[int]:
    rows = _pending().filter(due_at__lte=now, lost_claims__gte=SUSPECT_AFTER).order_by("due_at")
    return list(rows.values_list("pk", flat=True)[:1])


def _candidates(now: datetime, limit: int) -> list[int]:
    """Return the ids of the earliest due rows, of each webhook no more than its cap leaves free.

    Webhooks at their cap are left out before the head is cut off, so that their backlog hides nobody.
    """
    db = connection()
    delivery = db.ops.quote_name(Delivery._meta.db_table)
    webhook = db.ops.quote_name(Webhook._meta.db_table)
    sql = f"""
        WITH in_flight AS (
            SELECT webhook_id, COUNT(*) AS number FROM {delivery}
            WHERE status = 'pending' AND claim IS NOT NULL AND due_at > %(now)s GROUP BY webhook_id
        ), head AS (
            SELECT delivery.id, delivery.webhook_id, delivery.due_at,
                   %(cap)s - COALESCE(in_flight.number, 0) AS free,
                   NOT webhook.is_active OR webhook.deleted_at IS NOT NULL AS idle
            FROM {delivery} AS delivery
            JOIN {webhook} AS webhook ON webhook.id = delivery.webhook_id
            LEFT JOIN in_flight ON in_flight.webhook_id = delivery.webhook_id
            WHERE delivery.status = 'pending' AND delivery.due_at <= %(now)s
              AND delivery.lost_claims < {SUSPECT_AFTER}
              AND COALESCE(in_flight.number, 0) < %(cap)s
            ORDER BY delivery.due_at, delivery.id LIMIT {HEAD}
        ), ranked AS (
            SELECT id, due_at, free, idle,
                   ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY due_at, id) AS place FROM head
        )
        SELECT id FROM ranked WHERE idle OR place <= free ORDER BY due_at, id LIMIT %(limit)s
    """  # noqa: S608  names and constants are ours; every value is a parameter
    parameters = {
        "now": db.ops.adapt_datetimefield_value(now),
        "cap": settings.IN_FLIGHT_PER_WEBHOOK,
        "limit": limit,
    }
    with db.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [row[0] for row in cursor.fetchall()]


def _locked(ids: Collection[int], now: datetime) -> list[Delivery]:
    """Lock and load the rows that are still due: the lock repeats every condition that made them so."""
    if not ids:
        return []
    rows = _pending().filter(pk__in=ids, due_at__lte=now).order_by("due_at", "pk")
    found = list(rows.select_for_update(skip_locked=True, of=("self",)))
    events = Event.objects.using(alias()).in_bulk({delivery.event_id for delivery in found})
    webhooks = Webhook.with_deleted.using(alias()).in_bulk({delivery.webhook_id for delivery in found})
    for delivery in found:
        delivery.webhook = webhooks[delivery.webhook_id]
        # Without a constraint an event may be missing (removed by hand, a partial restore).
        if delivery.event_id in events:
            delivery.event = events[delivery.event_id]
    return found


def _sorted_out(found: list[Delivery], now: datetime) -> list[Delivery]:
    """Park what waits for its webhook, end what can never be sent, and return the rest."""
    taken, parked = [], []
    ended: dict[tuple[str, str], list[int]] = defaultdict(list)
    for delivery in found:
        if delivery.webhook.deleted_at is not None:
            ended["cancelled", "webhook_deleted"].append(delivery.pk)
        elif delivery.lost_claims >= WORKER_LOST_AFTER:
            ended["failed", "worker_lost"].append(delivery.pk)
        elif not Delivery.event.is_cached(delivery):
            ended["failed", "permanent"].append(delivery.pk)
        elif not delivery.webhook.is_active:
            parked.append(delivery.pk)
        else:
            taken.append(delivery)
    if parked:
        _deliveries().filter(pk__in=parked, webhook__is_active=False).update(due_at=None, claim=None)
    for (status, because), ids in ended.items():
        _deliveries().filter(pk__in=ids).update(
            status=status, ended_because=because, due_at=None, claim=None, finished_at=now
        )
    return taken


# Record


def record(verdicts: Sequence[Verdict], now: datetime) -> set[int]:
    """Write the attempts, and what they did to the deliveries that are still theirs.

    Returns the ids of those; the attempts of the others are marked late and change nothing.
    """
    with transaction.atomic(using=alias()):
        fenced = _fenced(verdicts)
        for verdict in verdicts:
            verdict.attempt.late = verdict.attempt.delivery_id not in fenced
        Attempt.objects.using(alias()).bulk_create([verdict.attempt for verdict in verdicts])
        mine = [verdict for verdict in verdicts if not verdict.attempt.late]
        for (status, because, due_at), ids in _grouped(mine).items():
            _deliveries().filter(pk__in=ids).update(
                status=status,
                ended_because=because,
                due_at=due_at,
                finished_at=None if status == "pending" else now,
                claim=None,
                lost_claims=0,
                attempt_count=F("attempt_count") + 1,
            )
        gone = {verdict.attempt.delivery_id for verdict in mine if verdict.outcome is Outcome.GONE}
        if gone:
            _disable(gone, "The receiver answered 410 Gone.", now)
    return fenced


def _fenced(verdicts: Iterable[Verdict]) -> set[int]:
    """Lock, in the order of their ids, the deliveries that still carry the claim they were sent under."""
    claims = {verdict.attempt.delivery_id: verdict.claim for verdict in verdicts}
    rows = _pending().filter(pk__in=claims).order_by("pk")
    locked = rows.select_for_update().values_list("pk", "claim")
    return {pk for pk, held in locked if held == claims[pk]}


def _grouped(verdicts: Iterable[Verdict]) -> dict[tuple[str, str, datetime | None], list[int]]:
    groups: dict[tuple[str, str, datetime | None], list[int]] = defaultdict(list)
    for verdict in verdicts:
        key = (verdict.status, verdict.ended_because, verdict.due_at)
        groups[key].append(verdict.attempt.delivery_id)
    return groups


def _disable(delivery_ids: Collection[int], because: str, now: datetime) -> None:
    owners = _deliveries().filter(pk__in=delivery_ids).values("webhook")
    webhooks = Webhook.with_deleted.using(alias()).filter(pk__in=owners, is_active=True).order_by("pk")
    # no_key: a plain FOR UPDATE would stop every emit of the workspace.
    ids = list(webhooks.select_for_update(no_key=True).values_list("pk", flat=True))
    for pk in ids:
        WebhookState.objects.using(alias()).update_or_create(
            webhook_id=pk, defaults={"disabled_at": now, "disabled_because": because}
        )
    Webhook.with_deleted.using(alias()).filter(pk__in=ids).update(
        is_active=False, version=F("version") + 1, updated_at=now
    )


def hand_back(token: uuid.UUID, ids: Collection[int], due_at: datetime) -> int:
    """Give up the claim on deliveries that were not sent, due at `due_at`; it costs them no attempt."""
    return (
        _pending()
        .filter(pk__in=ids, claim=token)
        .update(claim=None, due_at=due_at, lost_claims=F("lost_claims") - 1)
    )


def unpark(webhook_ids: Collection[int] | None = None, now: datetime | None = None) -> int:
    """Make due what was parked for webhooks that are active again (or deleted: the claim then ends it)."""
    parked = (
        _pending()
        .filter(due_at__isnull=True)
        .filter(Q(webhook__is_active=True) | Q(webhook__deleted_at__isnull=False))
    )
    if webhook_ids is not None:
        parked = parked.filter(webhook__in=webhook_ids)
    total = 0
    while True:
        ids = list(parked.values_list("pk", flat=True)[:UNPARK_BATCH])
        rows = _pending().filter(pk__in=ids, due_at__isnull=True)
        total += rows.update(due_at=Now() if now is None else now)
        if len(ids) < UNPARK_BATCH:
            return total


# Wake


def wake_after_commit() -> None:
    """Ask for a drain once the current transaction has committed, once however often this is called."""
    if not any(entry[1] is wake for entry in connection().run_on_commit):
        transaction.on_commit(wake, using=alias(), robust=True)


def wake() -> None:
    """Ask for a drain, unless one was asked for that has not yet started."""
    if settings.WAKE == "notify":
        _notify(connection())
        return
    asked = Q(asked_at__isnull=True) | Q(asked_at__lt=Now() - WAKE_AGAIN)
    if _waker().filter(asked).update(asked_at=Now()) or _waker_created(asked=True):
        enqueue()


def clear_wake() -> None:
    """Say that a drain has started. Committed before its first claim, so whatever the flag suppressed is seen."""
    _waker().filter(asked_at__isnull=False).update(asked_at=None)


def enqueue() -> None:
    """Put one drain on django-q2's queue."""
    options: dict[str, Any] = {"save": False, "ack_failure": True}
    if settings.CLUSTER:
        options["cluster"] = settings.CLUSTER
    async_task("webhooks.tasks.drain", q_options=options)


def linger(holder: uuid.UUID) -> bool:
    """Get or renew the lease under which one drain waits for what falls due soon."""
    free = Q(linger_until__isnull=True) | Q(linger_until__lt=Now()) | Q(linger_claim=holder)
    _waker_created(asked=False)
    return bool(_waker().filter(free).update(linger_claim=holder, linger_until=Now() + LINGER_LEASE))


def stop_lingering(holder: uuid.UUID) -> None:
    _waker().filter(linger_claim=holder).update(linger_claim=None, linger_until=None)


def _notify(db: BaseDatabaseWrapper) -> None:
    """Wake `manage.py webhooks deliver`; on SQLite it polls."""
    if db.vendor == "postgresql":
        with db.cursor() as cursor:
            cursor.execute("NOTIFY webhooks")


def _waker() -> models.QuerySet[Waker]:
    return Waker.objects.using(alias()).filter(pk=Waker.ROW)


def _waker_created(*, asked: bool) -> bool:
    """Make the one row if it is missing, with a drain asked for now or not; return whether it was."""
    if _waker().exists():
        return False
    defaults = {"asked_at": database_now() if asked else None}
    _, created = Waker.objects.using(alias()).get_or_create(pk=Waker.ROW, defaults=defaults)
    return created


def _deliveries() -> models.QuerySet[Delivery]:
    return Delivery.objects.using(alias())


def _pending() -> models.QuerySet[Delivery]:
    return _deliveries().filter(status=Delivery.Status.PENDING)
