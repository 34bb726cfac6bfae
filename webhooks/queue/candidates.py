"""Candidates: which due rows a claim looks at, and what their webhooks allow."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..conf import settings
from ..models.database import connection
from .candidate_sql import WORKER_LOST_AFTER, look_sql
from .low_water import LowWater, beginning

# How many of the earliest due rows a claim looks at.
HEAD = 2000
# How many webhooks it visits where there are more.
TOUR = 500

# The webhook at which this process's last tour ended, of all rows and of suspects; the next one begins behind it.
_last_visited = {False: 0, True: 0}
# Where its looks begin, at all rows and at suspects.
_waters = {False: LowWater(), True: LowWater()}


class Candidate(NamedTuple):
    """A due row, and what its webhook says of it."""

    id: int
    webhook_id: int
    workspace_id: Any
    """As the database gives it, which is no UUID where it has no such type."""
    waits: bool
    """It must be parked: its webhook is inactive or paused, or it is not the first of an ordered one."""
    is_deleted: bool
    """So is its webhook, and it must end."""
    lost_claims: int
    rate_limit: float | None
    ordered: bool
    revision: int
    """Changes whenever the webhook's row does (PostgreSQL's xmin); 0 where the database says nothing of it."""

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
    now: datetime,
    limit: int,
    *,
    suspects: bool = False,
    clock: datetime | None = None,
    without: Any = None,
) -> list[Candidate]:
    """Return due rows, of each workspace in turn, and of each webhook no more than it leaves free.

    A webhook that is paused, or was and has not delivered since, is tried with one delivery; one that has just
    recovered gets its backlog a few at a time. What must be set aside does not count against `limit`. `clock`: the
    database's, where `now` is another time. `without`: a workspace, by its key as stored, of which nothing is sent.
    """
    water, began = _waters[suspects], time.monotonic()
    found, first = _found(now, limit, water.mark(began), suspects=suspects, without=without)
    water.looked(first, clock or now, began, time.monotonic())
    return found


def _found(
    now: datetime, limit: int, mark: datetime | None, *, suspects: bool, without: Any
) -> tuple[list[Candidate], datetime | None]:
    """Return the candidates, and the due time of the first row that was looked at."""
    db = connection()
    parameters = {
        "now": db.ops.adapt_datetimefield_value(now),
        "cap": settings.IN_FLIGHT_PER_WEBHOOK,
        "limit": limit,
        "head": HEAD,
        "beginning": beginning(db, mark),
        "tour": TOUR,
        "after": _last_visited[suspects],
        "without": without,
    }
    with db.cursor() as cursor:
        cursor.execute(look_sql(db, suspects=suspects), parameters)
        rows = cursor.fetchall()
    first, visited, last = rows[0][:3]
    _last_visited[suspects] = last if visited == TOUR else 0
    found = [Candidate._make(row[3:]) for row in rows if row[3] is not None]
    return found, None if first is None else datetime.fromtimestamp(first, timezone.utc)
