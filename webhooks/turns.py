"""Turns: one thread claims and records, the other is curl's, and each would take the interpreter from the other.

libcurl lets go of the interpreter's lock between any two callbacks, at each header line of a response, and a thread
that waits for the lock is woken each time, mostly in vain. So one of them computes while the other waits for a
statement, the network or the results.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# How long curl's thread waits for its turn before it goes on without, for libcurl's clock runs on meanwhile; seconds.
LONGEST_WAIT = 0.02


class Turns:
    """The turn of two threads. Whoever keeps it too long makes the other slower, and does no other harm.

    The engine's holds it, and gives it up to wait; curl's awaits it to drive libcurl.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # The thread in `held()`, while it has the turn. Nobody, too, where taking it again was interrupted.
        self._holder: int | None = None
        self._was_missed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the turn for the duration, but for each `given_up()` in it."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Let the other have it while the caller waits for something; if it is the caller's."""
        was_mine = self._holder == threading.get_ident()
        self._leave()
        try:
            yield
        finally:
            if was_mine:
                self._take()

    @contextmanager
    def given_up_for_statements(self, db: BaseDatabaseWrapper) -> Iterator[None]:
        """Let the other have it during each statement on a connection, which threads may share."""
        wrapper = self._execute
        db.execute_wrappers.append(wrapper)
        try:
            yield
        finally:
            # Not `db.execute_wrapper()`, which removes the last: a project may have added one of its own meanwhile.
            with suppress(ValueError):
                db.execute_wrappers.remove(wrapper)

    def _execute(self, execute: Any, *statement: Any) -> Any:
        with self.given_up():
            return execute(*statement)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Have the turn for the duration, or go on without it: at once, if the last time it did not come."""
        is_mine = self._turn.acquire(timeout=0 if self._was_missed else LONGEST_WAIT)
        self._was_missed = not is_mine
        try:
            yield
        finally:
            if is_mine:
                self._turn.release()

    def _take(self) -> None:
        self._turn.acquire()
        self._holder = threading.get_ident()

    def _leave(self) -> None:
        if self._holder == threading.get_ident():
            self._holder = None
            self._turn.release()
