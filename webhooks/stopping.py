"""Stopping on SIGTERM: what is under way is finished, and the signal passed on after it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopped_by_sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, and pass the signal on afterwards. Not in a main thread: never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(signum: int, frame: Any) -> None:
        stop.set()

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield stop
    finally:
        # None: whoever installed it was not Python, and it cannot be put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)
        if stop.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
