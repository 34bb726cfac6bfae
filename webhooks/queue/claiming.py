"""Claim: take due deliveries, exclusively and fairly; park or end what must not be sent."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..conf import settings
from ..models import Delivery, Event
from ..models.database import alias, connection
from .candidate_sql import suspects_sql
from .candidates import Candidate, candidates
from .clock import as_moment, clock_sql, next_due
from .owners import owners_of
from .pacing import within_rates
from .parking import park, release
from .rows import deliveries, pending
from .shares import Share
from .taking import take

# The key of the advisory lock under which claims take turns (any number that is ours alone).
_CLAIM_LOCK = 0x77656268
# By statistics of another hour PostgreSQL would read all of a table, or gather and sort all that is due, in place of
# walking along an index as far as it needs to. Said in the statement of the turn, because that is one anyway.
_POSTGRESQL_TURN = (
    f"pg_try_advisory_xact_lock({_CLAIM_LOCK}), clock_timestamp(), "
    "set_config('enable_bitmapscan', 'off', true) || set_config('enable_seqscan', 'off', true)"
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one claim did. The deliveries have their `event` and `webhook` loaded."""

    token: uuid.UUID
    now: datetime
    """The database's clock when the rows were taken."""
    monotonic: float
    """This process's monotonic clock before that: the lease is counted from here."""
    read_at: float
    """And after it: the times of what follows are counted from here, so that none is ahead of the database's."""
    deliveries: Sequence[Delivery] = ()
    touched: int = 0
    """Rows taken, parked or ended."""

    def moment(self, monotonic: float) -> datetime:
        """Return the database's time at a reading of the monotonic clock."""
        return self.now + timedelta(seconds=monotonic - self.read_at)


def claim(
    limit: int,
    *,
    alone: bool,
    now: datetime | None = None,
    sure: bool = False,
    share: Share | None = None,
) -> Claim:
    """Take up to `limit` due deliveries, of each webhook no more than its cap and its rate leave free.

    `alone`: nothing of the caller's is in flight. Only then is a delivery taken that may be killing workers,
    and with nothing beside it. What is due but must not be sent is parked or ended on the way. `sure`: something
    is due, as far as the caller knows; else that is asked first, for a look takes no lock. `share`: what
    the caller may have of one workspace; None: all.
    """
    started = time.monotonic()
    token = uuid.uuid4()
    if limit <= 0 or not sure:
        look = next_due(now)
        if limit <= 0 or not look.is_due:
            return Claim(token=token, now=look.now, monotonic=started, read_at=time.monotonic())
    with transaction.atomic(using=alias()):
        turn, suspects = _turn_taken(connection())
        moment, read_at = now or turn, time.monotonic()
        spent = share and share.spent_by
        found = candidates(moment, 1, suspects=True, clock=turn) if alone and suspects else []
        found = found or candidates(moment, limit, clock=turn, without=spent)
        touched = _set_aside([row for row in found if row.is_aside], moment)
        sendable = [row for row in found if not row.is_aside]
        sendable = within_rates(share.within(sendable) if share else sendable, moment)
        taken = take([row.id for row in sendable], token, moment, moment + timedelta(seconds=settings.LEASE))
        complete = _loaded(taken, sendable, moment)
    return Claim(
        token=token,
        now=moment,
        monotonic=started,
        read_at=read_at,
        deliveries=complete,
        touched=touched + len(taken),
    )


def _turn_taken(db: BaseDatabaseWrapper) -> tuple[datetime, bool]:
    """Let claims take turns, so that the cap per webhook is exact; SQLite's transactions do so anyway.

    A claimer that hangs must not stop the others: after a while they go on without their turn. Then the cap
    may be exceeded for a moment; that a row is claimed once rests on its own lock. Returns the database's clock,
    and whether there is any delivery that must be claimed alone.
    """
    turn = _POSTGRESQL_TURN if db.vendor == "postgresql" else f"1, {clock_sql(db)}, ''"
    with db.cursor() as cursor:
        for _ in range(500):
            cursor.execute(f"SELECT {turn}, {suspects_sql(db)}", [])
            taken, now, _, suspects = cursor.fetchone()
            if taken:
                break
            time.sleep(0.002)
    return as_moment(now), bool(suspects)


def _set_aside(rows: Collection[Candidate], now: datetime) -> int:
    """Park what waits for its webhook, and end what can never be sent; return how many those are."""
    if not rows:
        return 0
    locked = _locked([row.id for row in rows], now)
    ended: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    waiting = []
    for row in rows:
        if row.id in locked and row.ending:
            ended[row.ending].append(row)
        elif row.id in locked:
            waiting.append(row.id)
    for (status, because), group in ended.items():
        _end([row.id for row in group], status, because, now)
        release([row.webhook_id for row in group if row.ordered], now)
    parked = park(waiting, now) if waiting else 0
    return parked + sum(map(len, ended.values()))


def _locked(ids: Collection[int], now: datetime) -> set[int]:
    rows = pending().filter(pk__in=ids, due_at__lte=now).order_by("pk")
    return set(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))


def _end(ids: Collection[int], status: str, because: str, now: datetime) -> None:
    deliveries().filter(pk__in=ids).update(
        status=status, ended_because=because, due_at=None, claim=None, finished_at=now
    )


def _loaded(taken: Sequence[Delivery], rows: Iterable[Candidate], now: datetime) -> list[Delivery]:
    """Give each delivery its event and its webhook; end those whose event is gone, and leave them out.

    Without a constraint an event may be missing: removed by hand, or after a partial restore.
    """
    if not taken:
        return []
    owners = owners_of(rows)
    events = Event.objects.using(alias()).in_bulk({delivery.event_id for delivery in taken})
    # Not by assignment, which checks the type and sets the id again.
    webhook_field, event_field = Delivery.webhook.field, Delivery.event.field
    complete, missing = [], []
    for delivery in taken:
        webhook_field.set_cached_value(delivery, owners[delivery.webhook_id])
        found = events.get(delivery.event_id)
        if found is None:
            missing.append(delivery)
        else:
            event_field.set_cached_value(delivery, found)
            complete.append(delivery)
    if missing:
        _end([delivery.id for delivery in missing], "failed", "permanent", now)
        release([one.webhook_id for one in missing if owners[one.webhook_id].ordered], now)
    return complete
