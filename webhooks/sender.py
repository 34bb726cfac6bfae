"""curl's thread: takes built requests from one queue, puts results on another, and waits for nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import requests

from .transport import Bounds, CurlAdapter
from .turns import Turns

# Adapters that wait for the next drain, with their open connections: a TLS handshake costs more than a
# delivery. By process, because no handle may cross a fork; a child never touches its parent's.
_idle: dict[tuple[int, Bounds], list[CurlAdapter]] = {}


class Sent(NamedTuple):
    """What became of one request. `result` is None when it was not sent, and must be handed back."""

    key: Any
    result: requests.Response | Exception | None
    started: float
    """Readings of the monotonic clock."""
    finished: float


class Sender:
    """Sends from a thread of its own, from `start()` to `stop()`."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._inbox: SimpleQueue[tuple[Any, requests.PreparedRequest, float] | None] = SimpleQueue()
        self._outbox: SimpleQueue[Sent | BaseException | None] = SimpleQueue()
        self._started: dict[Any, float] = {}
        self._refusing = False
        self.turns = Turns()
        """The caller may hold the turn, except while it waits; curl's thread awaits it to drive libcurl."""
        self._thread = threading.Thread(target=self._run, name="webhooks-sender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, key: Any, request: requests.PreparedRequest, sendable_until: float) -> None:
        """Send `request`, or, when the monotonic clock has passed `sendable_until` by then, give it back."""
        self._inbox.put((key, request, sendable_until))

    def refuse(self) -> None:
        """Give back what has not been sent yet, and everything put from now on."""
        self._refusing = True

    def collect(self, expected: int, enough: int, patience: float, gather: float) -> list[Sent]:
        """Return what has come back, waiting `patience` seconds for a first result.

        Then up to `gather` seconds for more, until `enough` or all of the `expected` ones are there: a batch
        costs the database little more than a single one. `wake()` ends the waiting. Raises what ended curl's
        thread, if anything did.
        """
        results: list[Sent] = []
        until = time.monotonic() + patience
        while len(results) < min(expected, enough):
            try:
                item = self._outbox.get(timeout=max(until - time.monotonic(), 0.0001))
            except Empty:
                break
            if item is None:
                break
            if isinstance(item, BaseException):
                raise RuntimeError("The thread that sends has ended.") from item
            if not results:
                until = time.monotonic() + gather
            results.append(item)
        return results

    def wake(self) -> None:
        """End, from any thread, the waiting of `collect()` or `wait()`, or the next one."""
        self._outbox.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until `wake()`; for a time when nothing is in flight."""
        self.collect(1, 1, seconds, 0)

    def stop(self) -> None:
        """End the thread once what is in flight has ended, without waiting for it."""
        self._refusing = True
        self._inbox.put(None)

    def _run(self) -> None:
        try:
            adapter = _adapter(self._bounds)
            for key, result in adapter.send_many(self._requests(), self.turns.awaited):
                self._outbox.put(Sent(key, result, self._started.pop(key), time.monotonic()))
            _idle.setdefault((os.getpid(), self._bounds), []).append(adapter)
        except BaseException as error:  # noqa: BLE001  the caller's thread must learn of it
            self._outbox.put(error)

    def _requests(self) -> Iterator[tuple[Any, requests.PreparedRequest] | None]:
        while True:
            try:
                # Blocks only while nothing is in flight: then there is nothing to drive.
                item = self._inbox.get(block=not self._started)
            except Empty:
                yield None
                continue
            if item is None:
                return
            key, request, sendable_until = item
            now = time.monotonic()
            if self._refusing or now > sendable_until:
                self._outbox.put(Sent(key, None, now, now))
                continue
            self._started[key] = now
            yield key, request


def _adapter(bounds: Bounds) -> CurlAdapter:
    try:
        return _idle[os.getpid(), bounds].pop()
    except (KeyError, IndexError):
        return CurlAdapter(bounds)
