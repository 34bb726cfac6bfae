"""Python's cyclic garbage collector, less eager while hundreds of requests are in flight.

It starts after some hundred new containers and walks over all that are young: here those are requests and rows that
will be gone in a moment by themselves.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# New containers after which it starts, as `gc.set_threshold` counts them.
THRESHOLD = 20_000

_lock = threading.Lock()
_patient = 0
_before = (0, 0, 0)


@contextmanager
def patient_collector() -> Iterator[None]:
    """Have it start later for the duration; whoever wants it later still, or not at all, is left alone."""
    global _patient, _before
    with _lock:
        if _patient == 0:
            _before = gc.get_threshold()
            if 0 < _before[0] < THRESHOLD:
                gc.set_threshold(THRESHOLD, *_before[1:])
        _patient += 1
    try:
        yield
    finally:
        with _lock:
            _patient -= 1
            if _patient == 0 and gc.get_threshold()[0] == THRESHOLD:
                gc.set_threshold(*_before)
