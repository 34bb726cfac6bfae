"""Databases that cannot be written to, by the databases' own means: read-only, or on a disk that is full."""

import os
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import connection

from webhooks.models import Attempt, Delivery

_PAGES = 2**30
_SPACE = "webhooks_small"


class _Session:
    """Sets this thread's session up before each of its statements, so that a new connection is set up as well."""

    def __init__(self, on, off):
        self.statements = {True: on, False: off}
        self.is_on = False

    def on(self):
        self.is_on = True

    def off(self):
        self.is_on = False

    def __call__(self, execute, sql, params, many, context):
        ends = sql.startswith(("ROLLBACK", "RELEASE"))  # of what may have failed already
        for statement in () if ends else self.statements[self.is_on]:
            context["connection"].connection.execute(statement)
        return execute(sql, params, many, context)


@contextmanager
def read_only():
    """Yield what makes the database read-only for this thread, by `on()` and `off()` called from any."""
    if connection.vendor == "sqlite":
        session = _Session(["PRAGMA query_only = on"], ["PRAGMA query_only = off"])
    else:
        # The first is for transactions to come, the second for the one that is open. That cannot be taken back.
        on = ["SET default_transaction_read_only = on", "SET transaction_read_only = on"]
        session = _Session(on, ["SET default_transaction_read_only = off"])
    with connection.execute_wrapper(session):
        yield session
        session.off()
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


@contextmanager
def full_disk():
    """Yield what lets the database's disk be full, by `on()` and `off()`. Raises OSError where no disk can be made."""
    if connection.vendor == "sqlite":
        # The fewest pages that can be asked for are those that there are.
        session = _Session(["PRAGMA max_page_count = 1"], [f"PRAGMA max_page_count = {_PAGES}"])
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")  # else the pages that former rows have left would do
        with connection.execute_wrapper(session):
            yield session
        return
    with _small_disk() as folder, _tables_on(folder):
        yield _Disk(folder)


class _Disk:
    def __init__(self, folder):
        self.ballast = folder / "ballast"

    def on(self):
        with self.ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def off(self):
        self.ballast.unlink(missing_ok=True)


@contextmanager
def _small_disk():
    """Yield an empty folder, on a disk of its own, that the database server may use."""
    if os.geteuid() != 0:
        raise PermissionError("only root may mount")
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        owner = Path(cursor.fetchone()[0]).stat()
    folder = Path(tempfile.mkdtemp(prefix="webhooks-disk-"))
    try:
        options = f"size=4m,mode=0755,uid={owner.st_uid},gid={owner.st_gid}"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
        )
        if made.returncode:
            raise PermissionError(made.stderr.decode())
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@contextmanager
def _tables_on(folder):
    """Have the deliveries and attempts stand in `folder` while the block lasts."""
    tables = [model._meta.db_table for model in (Delivery, Attempt)]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLESPACE {_SPACE} LOCATION '{folder}'")
    try:
        _move(tables, _SPACE)
        yield
    finally:
        with suppress(FileNotFoundError):
            (folder / "ballast").unlink()
        _move(tables, "pg_default")
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLESPACE {_SPACE}")


def _move(tables, space):
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} SET TABLESPACE {space}")
