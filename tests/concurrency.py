"""Several things at once, each in a thread with a connection of its own."""

import threading
from contextlib import contextmanager
from functools import partial

from django.db import connection, connections, transaction

from tests.sockets import wait_until


class _Work:
    """What one thread does; its connections are closed after it, and what it raised is kept."""

    def __init__(self, work, allowed=()):
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(work, allowed))

    def _run(self, work, allowed):
        try:
            work()
        except allowed:
            pass
        except Exception as error:  # noqa: BLE001  the test must see it
            self.error = error
        finally:
            connections.close_all()


def at_once(*works):
    """Do all of these, begun together; none may raise anything, or last longer than a minute."""
    start = threading.Barrier(len(works))

    def begun_together(work):
        start.wait(30)
        work()

    begun = [_Work(partial(begun_together, work)) for work in works]
    for one in begun:
        one.thread.start()
    for one in begun:
        one.thread.join(60)
        assert not one.thread.is_alive()
    assert [one.error for one in begun if one.error] == []


@contextmanager
def beside(work, *, allowed=()):
    """Open a transaction in the test's thread and yield what starts `work` beside it.

    Starting returns True when the work has ended, and False when it waits for this transaction, which on SQLite,
    where there is one writer, it always does. After the commit it must end, raising nothing but what is allowed.
    """
    other = _Work(work, allowed)

    def start():
        other.thread.start()
        if connection.vendor == "postgresql":
            wait_until(lambda: not other.thread.is_alive() or somebody_waits(), seconds=20)
        return connection.vendor == "postgresql" and not other.thread.is_alive()

    try:
        with transaction.atomic():
            yield start
    finally:
        if other.thread.ident is not None:
            other.thread.join(60)
    assert not other.thread.is_alive()
    assert other.error is None


def somebody_waits():
    """Return whether any transaction on the PostgreSQL server waits for another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone()[0]
