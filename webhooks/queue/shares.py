"""Shares: how much of a worker one workspace may use, so that its flood leaves room to others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..models.database import stored_key
from .candidates import Candidate
from .rows import webhooks

# How often it is asked whether there is more than one workspace; seconds.
ASKED = 10


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
        return next((key for key, number in self._stored.items() if number >= self.most), None)

    def within(self, sendable: Iterable[Candidate]) -> list[Candidate]:
        """Return those with which no workspace has more than its share, in their order."""
        taken = Counter(self._stored)
        kept = []
        for row in sendable:
            taken[row.workspace_id] += 1
            if taken[row.workspace_id] <= self.most:
                kept.append(row)
        return kept

    @cached_property
    def _stored(self) -> dict[Any, int]:
        return {stored_key(key): number for key, number in self.held.items()}


class Slots:
    """The slots of one worker, a quarter of which one workspace leaves to the others; if there are others."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._most: int | None = None
        self._asked = -math.inf

    def share(self, held: Iterable[Any], monotonic: float) -> Share | None:
        """Return what a workspace may have; None: all. `held`: the workspace's key of each delivery in flight."""
        if monotonic - self._asked > ASKED:
            self._most = max(self.number * 3 // 4, 1) if _are_several_workspaces() else None
            self._asked = monotonic
        return None if self._most is None else Share(self._most, Counter(held))

    def worth_a_claim(self, share: Share | None) -> int:
        """Return how many slots must be free: a quarter of all, or of what one workspace leaves to the others."""
        room = self.number
        if share is not None and share.spent_by is not None:
            room -= share.most
        return max(room // 4, 1)


def _are_several_workspaces() -> bool:
    """Whether more than one workspace has a webhook that is sent to."""
    return len(webhooks().active().order_by().values_list("workspace", flat=True).distinct()[:2]) > 1
