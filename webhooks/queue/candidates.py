"""Candidates: which due rows a claim looks at, and what their webhooks allow.

First the head is looked at, the earliest due rows of all webhooks. Where a backlog that cannot be sent fills it, the
look goes on from webhook to webhook: it costs more, but no backlog is longer than it is wide. Neither walks over
more rows than a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..conf import settings
from ..models.database import connection
from .candidate_sql import WORKER_LOST_AFTER, head_sql, tour_sql
from .low_water import LowWater, beginning

# How many of the earliest due rows a claim looks at.
HEAD = 2000
# How many webhooks it visits where those yield little.
TOUR = 500

# The webhook at which this process's last tour ended; the next one begins behind it.
_last_visited = 0
# Where its looks begin, at all rows and at suspects.
_waters = {False: LowWater(), True: LowWater()}


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


def candidates(
    now: datetime, limit: int, *, suspects: bool = False, clock: datetime | None = None
) -> list[Candidate]:
    """Return due rows in the order in which they fell due, of each webhook no more than it leaves free.

    A webhook that is paused, or was and has not delivered since, is tried with one delivery; one that has just
    recovered gets its backlog a few at a time. What must be set aside does not count against `limit`. `clock`: the
    database's, where `now` is another time.
    """
    found, looked_at = _head(now, limit, suspects=suspects, clock=clock or now)
    if looked_at == HEAD and sum(not row.is_aside for row in found) < max(limit // 2, 1):
        found = _joined(found, _tour(now, limit, suspects=suspects))
    aside = [row for row in found if row.is_aside]
    return [*aside, *[row for row in found if not row.is_aside][:limit]]


def _head(now: datetime, limit: int, *, suspects: bool, clock: datetime) -> tuple[list[Candidate], int]:
    """Return the candidates among the earliest due rows, and how many rows were looked at."""
    water, began = _waters[suspects], time.monotonic()
    start = beginning(connection(), water.mark(began))
    found, looked_at, first = _looked(
        head_sql, now, suspects=suspects, limit=limit, head=HEAD, beginning=start
    )
    if connection().vendor == "postgresql":
        earliest = None if first is None else datetime.fromtimestamp(first, timezone.utc)
        water.looked(earliest, clock, began, time.monotonic())
    return found, looked_at


def _tour(now: datetime, limit: int, *, suspects: bool) -> list[Candidate]:
    """Return the candidates of the webhooks that come next, after those of this process's last tour."""
    global _last_visited
    found, visited, last = _looked(
        tour_sql, now, suspects=suspects, limit=limit, tour=TOUR, after=_last_visited
    )
    _last_visited = last if visited == TOUR else 0
    return found


def _looked(
    sql: Callable[..., str], now: datetime, *, suspects: bool, **bounds: Any
) -> tuple[list[Candidate], int, Any]:
    """Return the candidates of a look, how much it looked at, and the look's mark."""
    db = connection()
    parameters = {
        "now": db.ops.adapt_datetimefield_value(now),
        "cap": settings.IN_FLIGHT_PER_WEBHOOK,
        **bounds,
    }
    with db.cursor() as cursor:
        cursor.execute(sql(db, suspects=suspects), parameters)
        rows = cursor.fetchall()
    number, mark = rows[0][:2]
    return [Candidate._make(row[2:]) for row in rows if row[2] is not None], number, mark


def _joined(head: Iterable[Candidate], tour: Sequence[Candidate]) -> list[Candidate]:
    """Return what both found. Of a webhook that was visited, the tour found all that may be sent."""
    visited = {row.webhook_id for row in tour if not row.is_aside}
    rows = {row.id: row for row in head if row.is_aside or row.webhook_id not in visited}
    rows.update((row.id, row) for row in tour)
    return list(rows.values())
