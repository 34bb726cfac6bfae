"""Turns: one thread claims and records, the other is curl's, and each would take the interpreter from the other.

libcurl lets go of the interpreter's lock between any two callbacks, at each header line of a response, and a thread
that waits for the lock is woken each time, mostly in vain. So one of them computes while the other waits for a
statement, the network or the results.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# How long curl's thread waits for its turn before it goes on without, for libcurl's clock runs on meanwhile; seconds.
LONGEST_WAIT = 0.02


class Turns:
    """The turn of two threads. Whoever keeps it too long makes the other slower, and does no other harm.

    The engine's holds it, and gives it up to wait; curl's awaits it to drive libcurl.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # By the thread that calls `held()`. Not so within it, if taking it again was interrupted.
        self._is_held = False

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
        """Let the other have it while the caller, whose it is, waits for something."""
        was_held = self._is_held
        self._leave()
        try:
            yield
        finally:
            if was_held:
                self._take()

    def given_up_for(self, execute: Any, *statement: Any) -> Any:
        """Execute a statement meanwhile: a wrapper for Django's `connection.execute_wrapper`."""
        with self.given_up():
            return execute(*statement)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Have the turn for the duration, or go on without it."""
        is_mine = self._turn.acquire(timeout=LONGEST_WAIT)
        try:
            yield
        finally:
            if is_mine:
                self._turn.release()

    def _take(self) -> None:
        self._turn.acquire()
        self._is_held = True

    def _leave(self) -> None:
        if self._is_held:
            self._is_held = False
            self._turn.release()
