"""Getting over a database that is away or read-only for a moment, so that what has been sent is recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError

from .models.database import connection

T = TypeVar("T")

logger = logging.getLogger("webhooks")

# What a database raises that is away or full, or read-only as a standby is.
AWAY = (OperationalError, InterfaceError, InternalError)
# Seconds between two tries.
_PAUSES = (0.1, 0.2, 0.5, 1)


def outlast(
    call: Callable[[], T],
    until: float,
    pausing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> T:
    """Return what `call` returns, trying again while the database is away until the monotonic clock says `until`.

    `call` is one whole transaction, harmless to repeat. What it raises last is raised. `pausing`: makes the context
    of each pause between two tries.
    """
    tries = 0
    while True:
        try:
            return call()
        except AWAY as error:
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            if connection().in_atomic_block or time.monotonic() + pause > until:
                raise
            if not tries:
                logger.warning(
                    "The database cannot be reached or written to (%s); trying again.", type(error).__name__
                )
            connection().close()
        tries += 1
        with pausing():
            time.sleep(pause)
