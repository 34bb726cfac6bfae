"""Counting the SQL statements of any Django process, forked or killed: each one adds a byte to a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# The size of this file is the number of statements.
VARIABLE = "BENCHMARK_STATEMENTS"
_TRANSACTION = ("BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK")


def count_statements() -> None:
    """Count every statement but those that begin and end transactions, if the environment names the file."""
    path = os.environ.get(VARIABLE)
    if path:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        _Counter(file).connect()


class _Counter:
    def __init__(self, file: int) -> None:
        self.file = file

    def connect(self) -> None:
        connection_created.connect(self.watch, weak=False)

    def watch(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        if self.count not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.count)

    def count(self, execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
        if not str(sql).lstrip().startswith(_TRANSACTION):
            os.write(self.file, b".")
        return execute(sql, *arguments)
