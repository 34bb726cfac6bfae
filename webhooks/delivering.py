"""manage.py webhooks deliver: the same drain for ever, woken by PostgreSQL itself, without a broker.

What django-q2's schedules do elsewhere, a second thread does here.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError

from . import engine, notifications, queue, retention
from .background import running
from .listening import listening
from .models.database import connection
from .outages import AWAY
from .stopping import stopped_by_sigterm

logger = logging.getLogger("webhooks")

# Seconds between two looks for mail that is due.
_MAIL_INTERVAL = 5
_PRUNE_INTERVAL = 24 * 3600
# An idle drain looks at least this often, should a notification be lost; without notifications, this often.
_LONGEST_WAIT = 1.0
_POLL = 0.05


def deliver() -> int:
    """Send what is due until SIGTERM comes, and return the number of attempts recorded.

    A database that goes away interrupts it: what was under way is sent again when its lease has ended.
    """
    recorded = 0
    with stopped_by_sigterm() as stop, running(_keep_house, "webhooks-housekeeping"):
        while not stop.is_set():
            delivery = _Delivery(math.inf, math.inf, None, stop)
            try:
                with listening(delivery.wake):
                    delivery.run()
            except AWAY:
                logger.exception("Interrupted by the database; going on as soon as it is back.")
                connection().close()
                stop.wait(_LONGEST_WAIT)
            recorded += delivery.recorded
    return recorded


class _Delivery(engine.Drain):
    """A drain that does not end when nothing is due, but waits for the next notification."""

    woken = False

    def wake(self) -> None:
        """Say, from any thread, that something may be due."""
        self.woken = True
        self.sender.wake()

    def step(self) -> bool:
        if self.woken:
            # Cleared before the claim that follows: whatever is suppressed from here on, that claim sees.
            self.woken = False
            queue.clear_wake()
            self.expects_due = True  # somebody said so: the claim need not ask first
        return super().step()

    def linger(self) -> bool:
        if self.stop.is_set():
            return False
        if not self.woken:
            self.sender.wait(self._idle_for())
        return True

    def _idle_for(self) -> float:
        """Return how long nothing can fall due that nobody would tell of."""
        if connection().vendor != "postgresql":
            return _POLL
        wait = queue.next_due().wait
        if wait is None:
            return _LONGEST_WAIT
        # What is due and was not claimed waits for a slot or for its rate.
        return min(max(wait.total_seconds(), _POLL), _LONGEST_WAIT)


def _keep_house(ended: threading.Event) -> None:
    chores: list[tuple[float, Callable[[], object]]] = [
        (_MAIL_INTERVAL, notifications.send_due),
        (queue.SWEEP_INTERVAL.total_seconds(), queue.unpark),
        (queue.SWEEP_INTERVAL.total_seconds(), queue.remind),
        (_PRUNE_INTERVAL, retention.prune),
    ]
    due = [0.0 for _ in chores]
    try:
        while not ended.wait(0.5):
            for number, (interval, chore) in enumerate(chores):
                if time.monotonic() >= due[number]:
                    due[number] = time.monotonic() + interval
                    _do(chore)
    finally:
        connection().close()


def _do(chore: Callable[[], object]) -> None:
    try:
        chore()
    except DatabaseError:
        logger.exception("Housekeeping was interrupted; it is done again at its next time.")
        connection().close()
