"""Waking: the broker carries an alarm, never the work. The only importer of django-q2's `async_task`."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django_q.tasks import async_task

from ..conf import settings
from ..models import Waker
from ..models.database import alias, connection
from .clock import Now, database_now

# A wake-up that was asked for and did not come is asked for again after this time.
WAKE_AGAIN = timedelta(seconds=30)
LINGER_LEASE = timedelta(seconds=5)
# The PostgreSQL channel of the notifications.
CHANNEL = "webhooks"
# What falls due within this time is waited for; the sweep, each minute, finds the rest.
SWEEP_INTERVAL = timedelta(seconds=60)


def wake_after_commit() -> None:
    """Ask for a drain once the current transaction has committed, once however often this is called."""
    if not any(entry[1] is wake for entry in connection().run_on_commit):
        transaction.on_commit(wake, using=alias(), robust=True)


def wake() -> None:
    """Ask for a drain, unless one was asked for that has not yet started."""
    if settings.WAKE == "notify":
        _wake_listeners(connection())
    elif _asked() or _waker_created(asked=True):
        enqueue()


def clear_wake() -> None:
    """Say that a drain has started. Committed before its first claim, so whatever the flag suppressed is seen."""
    db = connection()
    with db.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(db)} SET asked_at = NULL WHERE id = %s AND asked_at IS NOT NULL AND {_unflushed(db)}",  # noqa: S608  the name is ours; every value is a parameter
            [Waker.ROW],
        )


def enqueue() -> None:
    """Put one drain on django-q2's queue."""
    _enqueue("webhooks.tasks.drain")


def notify_after_commit() -> None:
    """Ask for the task that mails what owners are to be told. A broker that is away is the sweep's to make up for."""
    transaction.on_commit(_enqueue_notify, using=alias(), robust=True)


def _enqueue_notify() -> None:
    if settings.WAKE != "notify":  # else `manage.py webhooks deliver` looks by itself
        _enqueue("webhooks.tasks.notify")


def _enqueue(task: str) -> None:
    options: dict[str, Any] = {"save": False, "ack_failure": True}
    if settings.CLUSTER:
        options["cluster"] = settings.CLUSTER
    async_task(task, q_options=options)


def linger(holder: uuid.UUID) -> bool:
    """Get or renew the lease under which one drain waits for what falls due soon."""
    free = Q(linger_until__isnull=True) | Q(linger_until__lt=Now()) | Q(linger_claim=holder)
    _waker_created(asked=False)
    return bool(_waker().filter(free).update(linger_claim=holder, linger_until=Now() + LINGER_LEASE))


def stop_lingering(holder: uuid.UUID) -> None:
    _waker().filter(linger_claim=holder).update(linger_claim=None, linger_until=None)


def _asked() -> bool:
    stale = Q(asked_at__isnull=True) | Q(asked_at__lt=Now() - WAKE_AGAIN)
    return bool(_waker().filter(stale).update(asked_at=Now()))


def _wake_listeners(db: BaseDatabaseWrapper) -> None:
    """Wake `manage.py webhooks deliver`; on SQLite it looks by itself."""
    if db.vendor == "postgresql" and not _asked_and_notified(db) and _waker_created(asked=True):
        with db.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def _asked_and_notified(db: BaseDatabaseWrapper) -> bool:
    """Ask as above, with the notification in the same statement: one commit less before anything is sent."""
    sql = f"""
        WITH asked AS (
            UPDATE {_table(db)} SET asked_at = statement_timestamp()
            WHERE id = %s AND (asked_at IS NULL OR asked_at < statement_timestamp() - %s * interval '1 second')
            AND {_unflushed(db)} RETURNING id
        )
        SELECT pg_notify(%s, '') FROM asked
    """  # noqa: S608  the name is ours; every value is a parameter
    with db.cursor() as cursor:
        cursor.execute(sql, [Waker.ROW, WAKE_AGAIN.total_seconds(), CHANNEL])
        return cursor.rowcount > 0


def _table(db: BaseDatabaseWrapper) -> str:
    return db.ops.quote_name(Waker._meta.db_table)


def _unflushed(db: BaseDatabaseWrapper) -> str:
    """Return a condition, always true, that spares a statement alone in its transaction the wait for the disk.

    Should the server end just then, the change is lost: a drain is asked for once more, or not before WAKE_AGAIN has
    passed. Within a transaction of the caller's it would hold for all of that.
    """
    if db.vendor != "postgresql" or db.in_atomic_block:
        return "TRUE"
    return "set_config('synchronous_commit', 'off', true) = 'off'"


def _waker() -> models.QuerySet[Waker]:
    return Waker.objects.using(alias()).filter(pk=Waker.ROW)


def _waker_created(*, asked: bool) -> bool:
    """Make the one row if it is missing, with a drain asked for now or not; return whether it was."""
    if _waker().exists():
        return False
    defaults = {"asked_at": database_now() if asked else None}
    _, created = Waker.objects.using(alias()).get_or_create(pk=Waker.ROW, defaults=defaults)
    return created
