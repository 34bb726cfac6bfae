"""The database's clock, which alone decides what is due."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import functions
from django.db.models.sql.compiler import SQLCompiler

from ..models import Delivery
from ..models.database import connection
from .low_water import LowWater, beginning

_water = LowWater()


class NextDue(NamedTuple):
    """When the earliest pending delivery falls due, those in flight counted with their lease's end."""

    at: datetime | None
    """None: nothing is pending, or all of it waits for its webhook."""
    now: datetime

    @property
    def wait(self) -> timedelta | None:
        """How long until then; zero when something is due."""
        return None if self.at is None else max(self.at - self.now, timedelta(0))

    @property
    def is_due(self) -> bool:
        return self.at is not None and self.at <= self.now


def clock_sql(db: BaseDatabaseWrapper) -> str:
    """Return the expression for the database's clock, to stand in a statement that has parameters."""
    if db.vendor == "postgresql":
        return "statement_timestamp()"
    # As Django stores a time, which SQLite compares as text: six digits, or none at a whole second.
    return "replace(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') || '000', '.000000', '')"


class Now(functions.Now):
    """The same clock in a query. On SQLite Django's own says ".000" where its stored times say nothing."""

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        return self.as_sql(
            compiler, connection, template=clock_sql(connection).replace("%", "%%"), **extra_context
        )


def database_now() -> datetime:
    """Return the database's clock."""
    db = connection()
    with db.cursor() as cursor:
        cursor.execute(f"SELECT {clock_sql(db)}", [])
        [value] = cursor.fetchone()
    return as_moment(value)


def next_due(now: datetime | None = None) -> NextDue:
    """Return when something falls due, and the database's clock, or `now` in its place. Takes no lock."""
    db = connection()
    delivery = db.ops.quote_name(Delivery._meta.db_table)
    sql = f"""
        SELECT (SELECT due_at FROM {delivery} WHERE status = 'pending' AND due_at >= %s ORDER BY due_at LIMIT 1),
               {clock_sql(db)}
    """  # noqa: S608  names are ours; every value is a parameter
    began = time.monotonic()
    with db.cursor() as cursor:
        cursor.execute(sql, [beginning(db, _water.mark(began))])
        at, clock = map(as_moment, cursor.fetchone())
    _water.looked(at, clock, began, time.monotonic())
    return NextDue(at, now or clock)


def as_moment(value: Any) -> Any:
    """Return what a database says of a time: SQLite says it in UTC without saying so, of an expression as text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=timezone.utc)
