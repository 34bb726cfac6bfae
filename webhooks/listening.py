"""Hearing at once that something was emitted: PostgreSQL's LISTEN, in a thread with a connection of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import Error

from .background import running
from .models.database import connection
from .queue import CHANNEL

logger = logging.getLogger("webhooks")

# How often the thread looks whether it should end, and how long it waits for a database that is away; seconds.
_PATIENCE = 1.0


@contextmanager
def listening(heard: Callable[[], None]) -> Iterator[None]:
    """Call `heard`, from another thread, at each notification, for as long as the block lasts.

    On SQLite there is nothing to listen to: whoever waits must look by itself.
    """
    if connection().vendor != "postgresql":
        yield
        return
    with running(partial(_listen, heard), "webhooks-listener"):
        yield


def _listen(heard: Callable[[], None], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            _hear(heard, ended)
        except Error as error:
            logger.warning("Not listening for new events (%s); trying again.", type(error).__name__)
            ended.wait(_PATIENCE)
        finally:
            connection().close()


def _hear(heard: Callable[[], None], ended: threading.Event) -> None:
    with connection().cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    heard()  # what was said before nobody heard
    while not ended.is_set():
        for _ in connection().connection.notifies(timeout=_PATIENCE, stop_after=1):
            heard()
