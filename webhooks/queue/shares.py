"""Shares: how much of a worker one workspace may use, so that its flood leaves room to others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models import Delivery
from ..models.database import connection
from .candidates import Candidate


@dataclass(frozen=True)
class Share:
    """More than half of what the caller can have in flight; so one workspace at most can have used it up."""

    most: int
    """Deliveries of one workspace in flight."""
    held: Mapping[Any, int]
    """Those that are, by the workspace's key."""

    @property
    def spent_by(self) -> Any:
        """The key of the workspace that has its share, as the database stores it; None: nobody has."""
        return next((key for key, number in self._stored().items() if number >= self.most), None)

    def within(self, sendable: Iterable[Candidate]) -> list[Candidate]:
        """Return those with which no workspace has more than its share, in their order."""
        taken = Counter(self._stored())
        kept = []
        for row in sendable:
            taken[row.workspace_id] += 1
            if taken[row.workspace_id] <= self.most:
                kept.append(row)
        return kept

    def _stored(self) -> dict[Any, int]:
        stored = Delivery._meta.get_field("workspace").get_db_prep_value
        return {stored(key, connection()): number for key, number in self.held.items()}
