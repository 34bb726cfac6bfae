"""What the cluster's workers run in tests."""

import os

from django.db import connection


def echo(number):
    """Ask the database for this task's own number many times; return how often the answer was another's."""
    wrong = 0
    backend = None
    with connection.cursor() as cursor:
        for turn in range(200):
            cursor.execute("SELECT %s, %s", [number, turn])
            wrong += tuple(map(int, cursor.fetchone())) != (number, turn)
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_backend_pid()")
            [backend] = cursor.fetchone()
    return {"wrong": wrong, "pid": os.getpid(), "backend": backend}
