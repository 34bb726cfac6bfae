"""The low-water mark: the due time below which a look at what is due need not go.

As long as any snapshot is open (pg_dump, a forgotten session), PostgreSQL keeps the index entries of all that has
been due since, and each look from the beginning walks over them: 0.1 ms per thousand. So once that has become slow,
looks begin at a mark, and only from time to time at the beginning.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# Seconds that a look from the beginning may take before a mark is set.
SLOW = 0.01
# How many times as long as it took the mark holds: so looks from the beginning are a twentieth of the time.
HOLDS = 20
# A transaction that was open for longer than this may bring rows below the mark, to be found a little later.
MARGIN = timedelta(seconds=2)


class LowWater:
    """A mark, as one process knows it. `monotonic`: a reading of that clock."""

    def __init__(self) -> None:
        self._mark: datetime | None = None
        self._holds_until = 0.0

    def mark(self, monotonic: float) -> datetime | None:
        """Return where a look may begin; None: at the beginning."""
        return self._mark if monotonic < self._holds_until else None

    def looked(self, earliest: datetime | None, now: datetime, began: float, ended: float) -> None:
        """Note a look that ended with `earliest`, the first due time that it found, at the database's time `now`."""
        first = now - MARGIN if earliest is None else min(earliest, now - MARGIN)
        if self.mark(began) is not None:
            self._mark = first
        elif ended - began > SLOW:
            self._mark, self._holds_until = first, ended + HOLDS * (ended - began)


def beginning(db: BaseDatabaseWrapper, mark: datetime | None) -> Any:
    """Return, as a parameter of a query, the due time at which a look begins.

    SQLite keeps no index entry of what has gone, and compares times as texts: there every look is from the beginning.
    """
    if db.vendor != "postgresql":
        return ""
    return "-infinity" if mark is None else db.ops.adapt_datetimefield_value(mark)
