"""Two transactions at once: one in the test's thread, another beside it."""

import threading
from contextlib import contextmanager

from django.db import connection, connections, transaction

from tests.sockets import wait_until


@contextmanager
def beside(work, *, allowed=()):
    """Open a transaction and yield what starts `work` beside it, in a thread with a connection of its own.

    Starting returns True when the work has ended, and False when it waits for this transaction, which on SQLite,
    where there is one writer, it always does. After the commit it must end, raising nothing but what is allowed.
    """
    errors = []

    def run():
        try:
            work()
        except allowed:
            pass
        except Exception as error:  # noqa: BLE001  the test must see it
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)

    def start():
        thread.start()
        if connection.vendor == "postgresql":
            wait_until(lambda: not thread.is_alive() or somebody_waits(), seconds=20)
        return connection.vendor == "postgresql" and not thread.is_alive()

    try:
        with transaction.atomic():
            yield start
    finally:
        if thread.ident is not None:
            thread.join(60)
    assert not thread.is_alive()
    assert errors == []


def somebody_waits():
    """Return whether any transaction on the PostgreSQL server waits for another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone()[0]
